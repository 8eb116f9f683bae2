BEGIN TRANSACTION;
CREATE TABLE api_keys (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	salt BLOB NOT NULL, 
	digest BLOB NOT NULL, 
	created DATETIME NOT NULL, 
	last_used DATETIME, 
	revoked DATETIME, 
	PRIMARY KEY (id)
);
CREATE TABLE audiences (
	id VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	snapshot VARCHAR NOT NULL, 
	request JSON NOT NULL, 
	seeds_sha256 VARCHAR NOT NULL, 
	size INTEGER NOT NULL, 
	status VARCHAR NOT NULL, 
	report JSON NOT NULL, 
	result_sha256 VARCHAR, 
	members VARCHAR, 
	PRIMARY KEY (id)
);
INSERT INTO "audiences" VALUES('a-f85fcbe0ebabf5c3','2026-11-22 11:47:01.269445','golden','s-860ea7362e85e3ee','{"include_seeds": false, "seed": 0, "size": 15, "suppress": 0}','a4a9ac8c05bd1d2ffb154c9ea572506917d821796c6a6421f3d2f3fe4e19e295',15,'ready','{"auroc": {"high": 0.8832475349411852, "low": 0.6904898387961882, "value": 0.7868686868686867}, "confidence": 0.9, "eligible": 99, "lift": {"high": 5.371691564491219, "low": 2.0834940144719516, "value": 3.8436367619047616}, "population": 119, "recall": {"high": 0.8138926612865485, "low": 0.315680911283629, "value": 0.5823692063492063}, "seeds": {"duplicates": 0, "given": 20, "matched": 20, "unmatched": 0}, "warnings": []}','b18859ec16601d3c6ab34fce5cd5374515cfaf90de1538bc54b78b9aa81a3339','audiences/a-f85fcbe0ebabf5c3/members.parquet');
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	details JSON NOT NULL
);
INSERT INTO "audit" VALUES(1,'2026-11-22 11:46:59.633268','cli','publish','s-860ea7362e85e3ee','{"previous": null}');
INSERT INTO "audit" VALUES(2,'2026-11-22 11:47:01.269578','golden','audience','a-f85fcbe0ebabf5c3','{"size": 15, "snapshot": "s-860ea7362e85e3ee", "status": "ready"}');
CREATE TABLE catalogue_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT catalogue_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "catalogue_version" VALUES('0001');
CREATE TABLE publications (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	snapshot VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	previous VARCHAR, 
	run_id INTEGER, 
	FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO "publications" VALUES(1,'s-860ea7362e85e3ee','2026-11-22 11:46:59.632933','cli','publish',NULL,1);
CREATE TABLE runs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	command VARCHAR NOT NULL, 
	started DATETIME NOT NULL, 
	ended DATETIME, 
	status VARCHAR NOT NULL, 
	recipe_hash VARCHAR, 
	eventlog_key VARCHAR, 
	model_key VARCHAR, 
	snapshot VARCHAR, 
	figures JSON NOT NULL
);
INSERT INTO "runs" VALUES(1,'run','2026-11-22 11:46:45.567459','2026-11-22 11:46:59.640010','succeeded','4d1f9889b444623e','733f40f5cd87c751','e5f75389a697d925','s-860ea7362e85e3ee','{"seconds": {"behaviour": 0.032, "embed": 0.123, "index": 0.385, "prepare": 0.764, "publish": 0.026, "segment": 5.434, "train": 7.291}}');
CREATE INDEX ix_audiences_created ON audiences (created);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('audit',2);
INSERT INTO "sqlite_sequence" VALUES('publications',1);
COMMIT;

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
INSERT INTO "audiences" VALUES('a-489f2b7ff785ca15','2026-11-22 05:56:09.616766','golden','s-7d601de09577e400','{"include_seeds": false, "seed": 0, "size": 15, "suppress": 0}','20f1c75cce42a1c91db2423d4b91e2ef345117ee8c2d3415dfa3a2f03486ee26',15,'ready','{"auroc": {"high": 0.4893097149101352, "low": 0.27696002477240456, "value": 0.3831348698412699}, "confidence": 0.9, "eligible": 100, "lift": {"high": 2.1235240420024377, "low": 0.06489794673091549, "value": 0.5073743915343915}, "population": 120, "recall": {"high": 0.3185286063003656, "low": 0.009734692009637324, "value": 0.07610615873015872}, "seeds": {"duplicates": 0, "given": 20, "matched": 20, "unmatched": 0}, "warnings": ["these customers have nothing in common that we can see: expect no more than a random audience would bring"]}','550c43a21e87512f96dca46e1de76d8abbb35bb5663034736c9f86dac451a2fc','audiences/a-489f2b7ff785ca15/members.parquet');
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	details JSON NOT NULL
);
INSERT INTO "audit" VALUES(1,'2026-11-22 05:56:05.180189','cli','publish','s-7d601de09577e400','{"previous": null}');
INSERT INTO "audit" VALUES(2,'2026-11-22 05:56:09.616888','golden','audience','a-489f2b7ff785ca15','{"size": 15, "snapshot": "s-7d601de09577e400", "status": "ready"}');
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
INSERT INTO "publications" VALUES(1,'s-7d601de09577e400','2026-11-22 05:56:05.179838','cli','publish',NULL,1);
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
INSERT INTO "runs" VALUES(1,'run','2026-11-22 05:55:51.979152','2026-11-22 05:56:05.197481','succeeded','a668a30be31af741','7f2a1bfe20761f4e','06e8123447d34de8','s-7d601de09577e400','{"seconds": {"behaviour": 0.047, "embed": 0.107, "index": 0.028, "prepare": 0.27, "publish": 0.136, "segment": 4.108, "train": 8.51}}');
CREATE INDEX ix_audiences_created ON audiences (created);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('audit',2);
INSERT INTO "sqlite_sequence" VALUES('publications',1);
COMMIT;

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
INSERT INTO "audiences" VALUES('a-6006b084ced2627f','2026-11-22 08:24:27.749755','golden','s-a3f884f28380e64b','{"include_seeds": false, "seed": 0, "size": 15, "suppress": 0}','faeaabf6024a57a212b5376be911be2cd506644985d327d6a3d0f0cfc14b6bbb',15,'ready','{"auroc": {"high": 0.5833121141361893, "low": 0.32655030491142956, "value": 0.45493120952380944}, "confidence": 0.9, "eligible": 100, "lift": {"high": 2.6865372492804345, "low": 0.19731329093884512, "value": 0.9370006349206349}, "population": 120, "recall": {"high": 0.40298058739206516, "low": 0.029596993640826765, "value": 0.14055009523809522}, "seeds": {"duplicates": 0, "given": 20, "matched": 20, "unmatched": 0}, "warnings": ["these customers have nothing in common that we can see: expect no more than a random audience would bring"]}','388d3000cce734114d22d037b0cd44d3bb0725814f5f187273fea0429ca67285','audiences/a-6006b084ced2627f/members.parquet');
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	details JSON NOT NULL
);
INSERT INTO "audit" VALUES(1,'2026-11-22 08:24:27.223026','cli','publish','s-a3f884f28380e64b','{"previous": null}');
INSERT INTO "audit" VALUES(2,'2026-11-22 08:24:27.749912','golden','audience','a-6006b084ced2627f','{"size": 15, "snapshot": "s-a3f884f28380e64b", "status": "ready"}');
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
INSERT INTO "publications" VALUES(1,'s-a3f884f28380e64b','2026-11-22 08:24:27.222620','cli','publish',NULL,1);
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
INSERT INTO "runs" VALUES(1,'run','2026-11-22 08:24:21.559690','2026-11-22 08:24:27.229578','succeeded','2fa96c892d3df243','a4e2a17bbf62e34f','a6c18d2aa6c0b81b','s-a3f884f28380e64b','{"seconds": {"behaviour": 0.017, "embed": 0.031, "index": 0.007, "prepare": 0.248, "publish": 0.019, "segment": 1.849, "train": 3.492}}');
CREATE INDEX ix_audiences_created ON audiences (created);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('audit',2);
INSERT INTO "sqlite_sequence" VALUES('publications',1);
COMMIT;

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
INSERT INTO "audiences" VALUES('a-3de3e17e80c7351c','2026-11-22 14:55:53.792869','golden','s-92aeab9aa4591656','{"hold_out": 0.0, "include_seeds": false, "nested": [], "not_segments": [], "seed": 0, "segments": [], "size": 15, "suppress": 0}','f7bc224e5ce3a09e71c6914ae262710ce3571c3c537d9d2b6f4811de08ab8bb6',15,'ready','{"auroc": {"high": 0.5299805446248169, "low": 0.3104764458513733, "value": 0.42022849523809513}, "confidence": 0.9, "eligible": 100, "lift": {"high": 1.965473277796884, "low": 0.04199713630202323, "value": 0.39845121693121704}, "population": 120, "recall": {"high": 0.2948209916695326, "low": 0.006299570445303484, "value": 0.05976768253968256}, "seeds": {"duplicates": 0, "given": 20, "matched": 20, "unmatched": 0}, "warnings": ["these customers have nothing in common that we can see: expect no more than a random audience would bring"]}','918ab29807eb667cfe8e3d7de1a48a2fd67e447ff3e64f004cf2c2e5788e955d','audiences/a-3de3e17e80c7351c/members.parquet');
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	details JSON NOT NULL
);
INSERT INTO "audit" VALUES(1,'2026-11-22 14:55:53.012728','cli','publish','s-92aeab9aa4591656','{"previous": null}');
INSERT INTO "audit" VALUES(2,'2026-11-22 14:55:53.793088','golden','audience','a-3de3e17e80c7351c','{"size": 15, "snapshot": "s-92aeab9aa4591656", "status": "ready"}');
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
INSERT INTO "publications" VALUES(1,'s-92aeab9aa4591656','2026-11-22 14:55:53.012263','cli','publish',NULL,1);
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
INSERT INTO "runs" VALUES(1,'run','2026-11-22 14:55:46.244545','2026-11-22 14:55:53.022053','succeeded','3b1898903028c42d','6f1ba6ac0dd223e3','5fa9a9ee4b5f563f','s-92aeab9aa4591656','{"seconds": {"behaviour": 0.025, "embed": 0.051, "index": 0.037, "prepare": 0.344, "publish": 0.023, "segment": 2.047, "train": 4.243}}');
CREATE INDEX ix_audiences_created ON audiences (created);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('audit',2);
INSERT INTO "sqlite_sequence" VALUES('publications',1);
COMMIT;

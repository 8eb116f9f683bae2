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
INSERT INTO "audiences" VALUES('a-216da33e8007f543','2026-11-23 11:03:52.926915','golden','s-2097835d104ec033','{"hold_out": 0.0, "include_seeds": false, "nested": [], "not_segments": [], "seed": 0, "segments": [], "size": 15, "suppress": 0, "where": []}','f7bc224e5ce3a09e71c6914ae262710ce3571c3c537d9d2b6f4811de08ab8bb6',15,'ready','{"auroc": {"high": 0.5128723107759691, "low": 0.26393383525577696, "value": 0.388403073015873}, "confidence": 0.9, "eligible": 100, "lift": {"high": 1.5197230560800299, "low": 0.006554031947958739, "value": 0.11759576719576717}, "population": 120, "recall": {"high": 0.22795845841200446, "low": 0.0009831047921938108, "value": 0.017639365079365074}, "seeds": {"duplicates": 0, "given": 20, "matched": 20, "objected": 0, "unmatched": 0}, "warnings": ["these customers have nothing in common that we can see: expect no more than a random audience would bring"]}','f2031295fdfb4b78fbb5361bdc93a3aba56c56692a501829eed211cf3c82c819','audiences/a-216da33e8007f543/members.parquet');
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	details JSON NOT NULL
);
INSERT INTO "audit" VALUES(1,'2026-11-23 11:03:51.441794','cli','publish','s-2097835d104ec033','{"previous": null}');
INSERT INTO "audit" VALUES(2,'2026-11-23 11:03:52.927116','golden','audience','a-216da33e8007f543','{"size": 15, "snapshot": "s-2097835d104ec033", "status": "ready"}');
CREATE TABLE catalogue_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT catalogue_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "catalogue_version" VALUES('0004');
CREATE TABLE erasure_salt (
	id INTEGER NOT NULL, 
	salt BLOB NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE erasures (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	hash VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	receipt VARCHAR NOT NULL
);
CREATE TABLE objections (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	customer VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	objects BOOLEAN NOT NULL
);
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
INSERT INTO "publications" VALUES(1,'s-2097835d104ec033','2026-11-23 11:03:51.441190','cli','publish',NULL,1);
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
INSERT INTO "runs" VALUES(1,'run','2026-11-23 11:03:44.762344','2026-11-23 11:03:51.451208','succeeded','91eb90d9dc44b3ed','c0d719d27fe12cdd','c0c6d07c7c035702','s-2097835d104ec033','{"seconds": {"behaviour": 0.016, "embed": 0.022, "index": 0.027, "prepare": 0.371, "publish": 0.026, "segment": 1.736, "train": 4.484}}');
CREATE TABLE segment_names (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	lineage VARCHAR NOT NULL, 
	segment INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL
);
CREATE INDEX ix_audiences_created ON audiences (created);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE INDEX ix_objections_customer ON objections (customer);
CREATE INDEX ix_segment_names_lineage ON segment_names (lineage);
CREATE INDEX ix_erasures_hash ON erasures (hash);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('audit',2);
INSERT INTO "sqlite_sequence" VALUES('publications',1);
COMMIT;

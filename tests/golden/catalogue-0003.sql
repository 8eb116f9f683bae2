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
INSERT INTO "api_keys" VALUES('9c33feedb5b0','Anna','marketer',X'D2C77A99749B4E7DBEC0E14EE4357A72',X'E46CE442FF31ADF04E12B800144D6EA48F7E79238D560A863A4B381C82439745','2026-03-01 12:00:05.000000',NULL,NULL);
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
INSERT INTO "audiences" VALUES('a-0000000000000001','2026-03-01 12:00:07.000000','cli','s-a','{"size": 500}','0000000000000000000000000000000000000000000000000000000000000000',500,'ready','{"expected_recall": 0.25}','1111111111111111111111111111111111111111111111111111111111111111','audiences/a-0000000000000001.arrow');
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	details JSON NOT NULL
);
INSERT INTO "audit" VALUES(1,'2026-03-01 12:00:04.000000','cli','publish','s-a','{"previous": null}');
INSERT INTO "audit" VALUES(2,'2026-03-01 12:00:06.000000','cli','key.create','9c33feedb5b0','{"name": "Anna", "role": "marketer"}');
INSERT INTO "audit" VALUES(3,'2026-03-01 12:00:08.000000','cli','audience','a-0000000000000001','{"size": 500, "snapshot": "s-a", "status": "ready"}');
INSERT INTO "audit" VALUES(4,'2026-03-01 12:00:10.000000','Anna','objection.add','objections','{"new": 1}');
INSERT INTO "audit" VALUES(5,'2026-03-01 12:00:12.000000','Anna','segment.rename','3','{"before": "Much fuel", "lineage": "line", "name": "Drivers"}');
CREATE TABLE catalogue_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT catalogue_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "catalogue_version" VALUES('0003');
CREATE TABLE objections (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	customer VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	objects BOOLEAN NOT NULL
);
INSERT INTO "objections" VALUES(1,'17','2026-03-01 12:00:09.000000','Anna',1);
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
INSERT INTO "publications" VALUES(1,'s-a','2026-03-01 12:00:03.000000','cli','publish',NULL,1);
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
INSERT INTO "runs" VALUES(1,'run','2026-03-01 12:00:01.000000','2026-03-01 12:00:02.000000','succeeded','abc','e','m','s-a','{"auc": 0.7}');
CREATE TABLE segment_names (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	lineage VARCHAR NOT NULL, 
	segment INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL
);
INSERT INTO "segment_names" VALUES(1,'line',3,'Drivers','2026-03-01 12:00:11.000000','Anna');
CREATE INDEX ix_audiences_created ON audiences (created);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE INDEX ix_objections_customer ON objections (customer);
CREATE INDEX ix_segment_names_lineage ON segment_names (lineage);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('audit',5);
INSERT INTO "sqlite_sequence" VALUES('publications',1);
INSERT INTO "sqlite_sequence" VALUES('objections',1);
INSERT INTO "sqlite_sequence" VALUES('segment_names',1);
COMMIT;

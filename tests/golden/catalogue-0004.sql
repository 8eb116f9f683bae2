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
INSERT INTO "api_keys" VALUES('098bf1251e64','Anna','marketer',X'2A21E4178214341656F3C26592CDEFC6',X'00528DB5A1E9191050BE4A49E34351A5E49A2B8BA92C1A13CED2F60539D3D415','2026-03-01 12:00:05.000000',NULL,NULL);
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
INSERT INTO "audit" VALUES(2,'2026-03-01 12:00:06.000000','cli','key.create','098bf1251e64','{"name": "Anna", "role": "marketer"}');
INSERT INTO "audit" VALUES(3,'2026-03-01 12:00:08.000000','cli','audience','a-0000000000000001','{"size": 500, "snapshot": "s-a", "status": "ready"}');
INSERT INTO "audit" VALUES(4,'2026-03-01 12:00:10.000000','Anna','objection.add','objections','{"new": 1}');
INSERT INTO "audit" VALUES(5,'2026-03-01 12:00:12.000000','Anna','segment.rename','3','{"before": "Much fuel", "lineage": "line", "name": "Drivers"}');
INSERT INTO "audit" VALUES(6,'2026-03-01 12:00:14.000000','Anna','erasure','e-0000000000000001','{"known": 1, "unknown": 0}');
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
INSERT INTO "erasure_salt" VALUES(1,X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F');
CREATE TABLE erasures (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	hash VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	receipt VARCHAR NOT NULL
);
INSERT INTO "erasures" VALUES(1,'2222222222222222222222222222222222222222222222222222222222222222','2026-03-01 12:00:13.000000','Anna','e-0000000000000001');
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
CREATE INDEX ix_erasures_hash ON erasures (hash);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('audit',6);
INSERT INTO "sqlite_sequence" VALUES('publications',1);
INSERT INTO "sqlite_sequence" VALUES('objections',1);
INSERT INTO "sqlite_sequence" VALUES('segment_names',1);
INSERT INTO "sqlite_sequence" VALUES('erasures',1);
COMMIT;

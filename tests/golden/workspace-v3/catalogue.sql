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
INSERT INTO "audiences" VALUES('a-0455e0707ac045a9','2026-11-22 14:54:30.016260','golden','s-03efd0b199fb0289','{"hold_out": 0.0, "include_seeds": false, "nested": [], "not_segments": [], "seed": 0, "segments": [], "size": 15, "suppress": 0}','a4a9ac8c05bd1d2ffb154c9ea572506917d821796c6a6421f3d2f3fe4e19e295',15,'ready','{"auroc": {"high": 0.8234345339865753, "low": 0.586666476114435, "value": 0.7050505050505051}, "confidence": 0.9, "eligible": 99, "lift": {"high": 4.832009849261996, "low": 1.5075797508680093, "value": 3.1344430857142855}, "population": 119, "recall": {"high": 0.7321227044336358, "low": 0.22842117437394083, "value": 0.47491561904761903}, "seeds": {"duplicates": 0, "given": 20, "matched": 20, "unmatched": 0}, "warnings": []}','8cb5715794b5ac6763b9f6036807a8411034437eedcfab20cbec874136301dc6','audiences/a-0455e0707ac045a9/members.parquet');
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	details JSON NOT NULL
);
INSERT INTO "audit" VALUES(1,'2026-11-22 14:54:27.408439','cli','publish','s-03efd0b199fb0289','{"previous": null}');
INSERT INTO "audit" VALUES(2,'2026-11-22 14:54:30.016450','golden','audience','a-0455e0707ac045a9','{"size": 15, "snapshot": "s-03efd0b199fb0289", "status": "ready"}');
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
INSERT INTO "publications" VALUES(1,'s-03efd0b199fb0289','2026-11-22 14:54:27.407951','cli','publish',NULL,1);
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
INSERT INTO "runs" VALUES(1,'run','2026-11-22 14:54:12.734734','2026-11-22 14:54:27.417466','succeeded','0b86e751a8a72703','733f40f5cd87c751','1372b2b3e87545ad','s-03efd0b199fb0289','{"seconds": {"behaviour": 0.036, "embed": 0.041, "index": 0.449, "prepare": 0.387, "publish": 0.022, "segment": 6.44, "train": 7.3}}');
CREATE INDEX ix_audiences_created ON audiences (created);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('audit',2);
INSERT INTO "sqlite_sequence" VALUES('publications',1);
COMMIT;

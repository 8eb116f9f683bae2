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
INSERT INTO "audiences" VALUES('a-a4cfeec64bb9f862','2026-11-22 08:38:54.370425','golden','s-b91163afb9d77187','{"include_seeds": false, "seed": 0, "size": 15, "suppress": 0}','faeaabf6024a57a212b5376be911be2cd506644985d327d6a3d0f0cfc14b6bbb',15,'ready','{"auroc": {"high": 0.6057637824201795, "low": 0.32514866837347123, "value": 0.46545622539682535}, "confidence": 0.9, "eligible": 100, "lift": {"high": 2.654997192311771, "low": 0.18775137285075882, "value": 0.911319365079365}, "population": 120, "recall": {"high": 0.3982495788467656, "low": 0.028162705927613822, "value": 0.13669790476190474}, "seeds": {"duplicates": 0, "given": 20, "matched": 20, "unmatched": 0}, "warnings": ["these customers have nothing in common that we can see: expect no more than a random audience would bring"]}','a09bfcad0a14c518d982002cb4ee07cd91c089483859b802b33047b6529193b9','audiences/a-a4cfeec64bb9f862/members.parquet');
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	details JSON NOT NULL
);
INSERT INTO "audit" VALUES(1,'2026-11-22 08:38:54.006399','cli','publish','s-b91163afb9d77187','{"previous": null}');
INSERT INTO "audit" VALUES(2,'2026-11-22 08:38:54.370541','golden','audience','a-a4cfeec64bb9f862','{"size": 15, "snapshot": "s-b91163afb9d77187", "status": "ready"}');
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
INSERT INTO "publications" VALUES(1,'s-b91163afb9d77187','2026-11-22 08:38:54.006060','cli','publish',NULL,1);
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
INSERT INTO "runs" VALUES(1,'run','2026-11-22 08:38:46.105459','2026-11-22 08:38:54.011373','succeeded','7228dffcfdcb464b','a4e2a17bbf62e34f','0efe1f32136b8319','s-b91163afb9d77187','{"seconds": {"behaviour": 0.018, "embed": 0.018, "index": 0.008, "prepare": 0.239, "publish": 0.014, "segment": 2.569, "train": 5.035}}');
CREATE INDEX ix_audiences_created ON audiences (created);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('audit',2);
INSERT INTO "sqlite_sequence" VALUES('publications',1);
COMMIT;

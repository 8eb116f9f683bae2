"""Run by Alembic: applies the migrations on the connection that `store.database` holds locked."""

from alembic import context

from store.tables import VERSION_TABLE, Base

connection = context.config.attributes.get("connection")
if connection is None:  # offline: print the SQL for a database administrator
    context.configure(
        dialect_name=context.config.attributes["dialect"],
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
        output_buffer=context.config.output_buffer,
    )
    with context.begin_transaction():
        context.run_migrations()
else:  # the caller holds the transaction, so that two processes never migrate at once
    context.configure(connection=connection, target_metadata=Base.metadata, version_table=VERSION_TABLE)
    context.run_migrations()

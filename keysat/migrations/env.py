"""Alembic's way in: the connection comes from `infra/migrate.py`, or from a developer's `make migration`."""

from alembic import context

from keysat.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()

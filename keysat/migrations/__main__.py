"""`python -m keysat.migrations "what changes"`: write the next migration from what the tables say.

Compares `keysat.schema` with an empty SQLite database that all present migrations were run on. The result is a draft:
read it, and give added columns of old tables a default. Within a major number migrations only add.
"""

import re
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from keysat.infra.migrate import SCRIPTS

MAJOR = 1


def main(what: str) -> int:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    head = ScriptDirectory.from_config(config).get_current_head()
    number = int(head.split("_")[1]) + 1 if head and head.startswith(f"{MAJOR}_") else 1
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'empty.db'}")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            script = command.revision(
                config, re.sub(r"\s+", " ", what), autogenerate=True, rev_id=f"{MAJOR}_{number:04d}"
            )
        engine.dispose()
    sys.stdout.write(f"{getattr(script, 'path', '')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:]) or "first"))

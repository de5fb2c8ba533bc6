"""`keysat`: the operator's command line. One file a noun; a command imports what it needs when it runs."""

import gc
import sys
from collections.abc import Sequence

import rich_click as click
from click import version_option

from keysat.cli.account import account
from keysat.cli.api_key import api_key
from keysat.cli.attention import attention
from keysat.cli.audit import audit
from keysat.cli.backup import backup, export, restore
from keysat.cli.code import code
from keysat.cli.customer import customer
from keysat.cli.house import demo, doctor, init, migrate, retention, serve
from keysat.cli.imports import import_shop
from keysat.cli.job import job
from keysat.cli.key import key
from keysat.cli.letter import letter
from keysat.cli.license import license_group
from keysat.cli.offer import offer
from keysat.cli.order import order
from keysat.cli.policy import policy
from keysat.cli.product import product
from keysat.cli.provider import provider
from keysat.cli.rate import rate
from keysat.cli.subscription import subscription
from keysat.cli.verify import verify
from keysat.cli.webhook import webhook


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@version_option(package_name="keysat", message="%(version)s")
def cli() -> None:
    """Sell signed license keys for Bitcoin and Lightning."""


COMMANDS = (
    *(serve, init, demo, migrate, doctor, retention, job, backup, restore, export, import_shop),
    *(account, api_key),
    *(product, policy, offer, code),
    *(key, verify, provider, rate, order, attention, license_group, subscription, customer, letter, audit),
    webhook,
)
for _command in COMMANDS:
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 and one line on stderr for what a person can mend."""
    gc.set_threshold(10_000, 20, 20)  # most of what a command makes are modules: the search for garbage took a seventh
    try:
        cli.main(args=list(arguments) if arguments is not None else None, prog_name="keysat")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except Exception as error:
        line = _told(error)
        if line is None:
            raise
        sys.stderr.write(f"keysat: {line}\n")
        return 1
    return 0


def _told(error: Exception) -> str | None:
    """None: nobody expected this, so it is shown whole."""
    from keysat.infra.settings import SettingsErrors
    from keysat.infra.vault import VaultError
    from keysat.kit.errors import KeysatError
    from keysat.kit.states import IllegalStep
    from keysat.upkeep.opening import CannotOpen

    if isinstance(error, KeysatError):
        refused = getattr(error.__cause__, "orig", None)  # by the database, since its disk is full, say
        return f"{error.message} ({refused})" if refused is not None else error.message
    return str(error) if isinstance(error, SettingsErrors | VaultError | CannotOpen | IllegalStep) else None

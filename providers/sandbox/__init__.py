"""The sandbox: a wallet server of play money (`python -m providers.sandbox`), and the provider that talks to it."""

from keysat.payments.provider import Provider
from providers.sandbox.provider import SandboxProvider

SANDBOX: Provider = SandboxProvider()

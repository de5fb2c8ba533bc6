"""Roles are bundles of scopes (`published-server.md` 3.2)."""

import pytest

from keysat.operators.scopes import A_LA_CARTE, ALL, SCOPES, Role, Scope


@pytest.mark.parametrize("role", Role)
def test_every_role_may_look_at_everything(role: Role) -> None:
    assert {scope for scope in Scope if scope.endswith(":read")} <= SCOPES[role]


def test_only_an_owner_has_what_no_key_can_do_and_no_role_of_a_key_what_is_granted_by_name() -> None:
    for role, scopes in SCOPES.items():
        assert (Scope.OWNER in scopes, bool(scopes & A_LA_CARTE)) == ((role == Role.OWNER,) * 2)
    assert SCOPES[Role.OWNER] == ALL


def test_what_each_role_may_change() -> None:
    changes = {role: {scope for scope in scopes if scope.endswith(":write")} for role, scopes in SCOPES.items()}
    assert changes[Role.READ_ONLY] == set()
    assert changes[Role.LICENSE_ISSUER] == {"licenses:write"}
    assert changes[Role.SUPPORT] == {"licenses:write", "subscriptions:write", "machines:write"}
    assert changes[Role.MERCHANT_ONBOARD] == {"products:write", "policies:write", "licenses:write"}

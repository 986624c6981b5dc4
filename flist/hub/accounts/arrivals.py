"""The accounts of those whom an OpenID Connect provider vouches for.

A subject that is new gets an account of its own, if the hub's operator allows it. It never gets an
account that is there already, whatever its name: an administrator links that one to the subject.
"""

import re

from flist.hub.accounts.accounts import Account, Accounts
from flist.hub.accounts.names import NAME
from flist.hub.accounts.oidc import Identity
from flist.hub.errors import ConflictError, ForbiddenError, NotSignedInError
from flist.hub.state.audit import Audit
from flist.hub.state.viewer import Viewer

FOREIGN = re.compile(r"[^A-Za-z0-9._-]+")
FREE_NAMES = 20


def find_account(
    accounts: Accounts, audit: Audit, identity: Identity, *, may_create: bool
) -> Account:
    """Return the account of an identity, a new one if need be.

    Raises `NotSignedInError` for a disabled one, and `ForbiddenError` if there is none.
    """
    account = accounts.find_by_subject(identity.subject)
    if account is None and may_create:
        account = create_account(accounts, identity)
        audit.note(Viewer(name=account.name), "account.create", account.name, identity.subject)
    if account is None:
        raise ForbiddenError(
            "there is no account for you on this hub",
            hint=f"its administrator makes one for the subject {identity.subject!r}",
        )
    if account.is_disabled:
        raise NotSignedInError("the account is disabled")
    return account


def create_account(accounts: Accounts, identity: Identity) -> Account:
    """Make an account under the name that its user likes, or that with a number."""
    wanted = FOREIGN.sub("-", identity.name).strip("._-")[:90]
    base = wanted if NAME.fullmatch(wanted) else "user"
    for number in range(1, FREE_NAMES + 1):
        try:
            name = base if number == 1 else f"{base}-{number}"
            return accounts.create(name, subject=identity.subject)
        except ConflictError:
            found = accounts.find_by_subject(identity.subject)
            if found is not None:  # by another request of the same user
                return found
    raise ConflictError(f"the name {base} is taken", hint="an administrator can make an account")

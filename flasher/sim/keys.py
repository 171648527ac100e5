"""Keys and one-way switches of CPU2: the customer's key, user keys, anti-rollback.

Sources: shci.h (payloads), release notes and AN5185 as quoted (the trap of anti-rollback). What keys do to data is not
simulated: nothing that a flasher does depends on it.
"""

from flasher.sim.commands import INVALID_PARAMETERS, LOCK_USER_KEY, NOT_STARTED, OK, STORE_USER_KEY, UNLOAD_USER_KEY
from flasher.sim.image import FUS_1_2_0
from flasher.sim.secret import ANTI_ROLLBACK_TRAP, Secret, UserKey

_CUSTOMER_KEY_SIZE = 64  # shci.h: at most; x and y of a point
MOST_USER_KEYS = 0x100  # the index is a byte (shci.h); how many fit is not documented
_USER_KEY_SIZES = {1: (16, 32), 2: (16, 32), 3: (28, 44)}  # simple, master, encrypted with its 12-byte IV


def update_customer_key(secret: Secret, payload: bytes) -> bytes:
    """Take a customer's key: its size, then the key. The caller has seen that keys are not locked."""
    size = 0
    if payload:
        size = payload[0]
    if not 0 < size <= _CUSTOMER_KEY_SIZE or len(payload) < 1 + size:
        return INVALID_PARAMETERS
    secret.customer_key = payload[1 : 1 + size]
    return OK


def lock_customer_key(secret: Secret) -> bytes:
    """Never take another customer's key again."""
    secret.customer_key_locked = True
    return OK


def activate_anti_rollback(secret: Secret) -> bytes:
    """Store the stack's version permanently. Without a stack, or before FUS 1.2.0, that of an erased word (ST)."""
    if not secret.anti_rollback:
        can = secret.stack is not None and secret.fus_version >= FUS_1_2_0
        secret.reference_version = secret.stack.version if secret.stack and can else ANTI_ROLLBACK_TRAP
        secret.anti_rollback = True
    return OK


def user_key(secret: Secret, opcode: int, payload: bytes) -> bytes:
    """Store, load, lock or unload a user key; the status, and the index of a stored one."""
    if opcode == STORE_USER_KEY:
        return _store(secret, payload)
    index = 0xFF
    if payload:
        index = payload[0]
    if index >= len(secret.user_keys):
        return INVALID_PARAMETERS
    key = secret.user_keys[index]
    if opcode == LOCK_USER_KEY:
        key.locked = True
    elif key.locked and opcode != UNLOAD_USER_KEY:
        return NOT_STARTED
    return OK


def _store(secret: Secret, payload: bytes) -> bytes:
    if len(payload) < 2 or len(payload) - 2 not in _USER_KEY_SIZES.get(payload[0], ()):
        return INVALID_PARAMETERS
    if len(secret.user_keys) == MOST_USER_KEYS:
        return NOT_STARTED
    secret.user_keys.append(UserKey(payload[0], payload[2:]))
    return bytes([0, len(secret.user_keys) - 1])

"""Rules about a release folder and the release notes in it (WB5xx); releases.audit looks for them."""

from imagekit.rules.registry import Severity, declare

TOO_HIGH = declare(
    "WB501",
    "AddressTooHigh",
    Severity.ERROR,
    "A published address is too high",
    """An image programmed at the published address would reach into FUS, or beyond the end of the flash. At best, FUS
    refuses it. Use the computed address.""",
)
LOWER = declare(
    "WB502",
    "AddressLowerThanNeeded",
    Severity.NOTE,
    "A published address is lower than needed",
    """The published address works, but wastes space between the image and FUS.""",
)
NO_ROOM = declare(
    "WB503",
    "AddressWithoutRoom",
    Severity.ERROR,
    "An address is published where the image does not fit",
    """The image is too large for that target, or is for another series.""",
)
FITS = declare(
    "WB504",
    "NotApplicableThoughItFits",
    Severity.NOTE,
    "NA is published where the image fits",
    """ST prints NA where little flash would be left for the application.""",
)
VERSION = declare(
    "WB505",
    "WrongPublishedVersion",
    Severity.WARNING,
    "The published version is not that of the image",
    """The version cell of the row and the footer of the image disagree: one of the two is from another release.""",
)
NO_ROW = declare(
    "WB506",
    "FileWithoutRow",
    Severity.WARNING,
    "A file has no row in the newest tables",
    """The release notes do not say where this file goes, nor which version it is, or only for an older release. The
    computed address is valid.""",
)
NO_FILE = declare(
    "WB507",
    "RowWithoutFile",
    Severity.WARNING,
    "A row of the newest tables has no file",
    """The newest section of the release notes names a file that is not beside them.""",
)
FUS_2_MARK = declare(
    "WB508",
    "WrongFus2Mark",
    Severity.ERROR,
    'The mark "FUS_v2 only" is missing or wrong',
    """Without the mark, a user with FUS 1.x deletes a working stack and then cannot install this one. With the mark on
    an image for FUS 1.x, a user upgrades FUS for no reason, which is irreversible.""",
)
STRANGE_CELL = declare(
    "WB509",
    "UnusableAddressCell",
    Severity.ERROR,
    "An address cell holds neither NA nor a usable sector address",
    """The cell holds a text that is not an address, an address outside flash or inside a sector, or the very start of
    flash, where CPU1's vector table is.""",
)
TWO_ROWS = declare(
    "WB510",
    "TwoRowsForOneFile",
    Severity.WARNING,
    "A file has two rows in the newest tables",
    """One of the two rows is meant for another file: the name was not changed when the row was copied. The first row is
    compared.""",
)
NO_SPARE = declare(
    "WB511",
    "NoSpareSectors",
    Severity.NOTE,
    "A FUS 1.x image is published without the usual two spare sectors",
    """On 1 MiB parts, ST leaves two sectors free above a FUS 1.x image in every release except v1.22.1. The image fits
    without them.""",
)

RELEASE_NOTES_RULES = (
    TOO_HIGH,
    LOWER,
    NO_ROOM,
    FITS,
    VERSION,
    NO_ROW,
    NO_FILE,
    FUS_2_MARK,
    STRANGE_CELL,
    TWO_ROWS,
    NO_SPARE,
)

"""Rules about a release folder and the release notes in it (WB5xx); releases.audit looks for them."""

from imagekit.rules.registry import Severity, declare

TOO_HIGH = declare(
    "WB501",
    Severity.ERROR,
    "No published address is too high",
    """An image programmed at the printed address would reach into FUS, or beyond the end of the flash. FUS refuses it
    at best. Use the computed address.""",
)
LOWER = declare(
    "WB502",
    Severity.NOTE,
    "No published address is lower than needed",
    """The printed address wastes room between the image and FUS, and works.""",
)
NO_ROOM = declare(
    "WB503",
    Severity.ERROR,
    "No address is published where the image does not fit",
    """The image is too large for that target, or is not for its series at all.""",
)
FITS = declare(
    "WB504",
    Severity.NOTE,
    "NA is published only where the image does not fit",
    """ST prints NA where little room would be left for the application.""",
)
VERSION = declare(
    "WB505",
    Severity.WARNING,
    "The published version is the one in the image",
    """The version cell of the row and the image's footer disagree: one of the two is of another release.""",
)
NO_ROW = declare(
    "WB506",
    Severity.WARNING,
    "Every file has a row in the newest tables",
    """The release notes do not say where this file goes, nor which version it is, or only for an older release. The
    computed address holds.""",
)
NO_FILE = declare(
    "WB507",
    Severity.WARNING,
    "Every row of the newest tables has its file",
    """The newest section of the release notes names a file that is not beside it.""",
)
FUS_2_MARK = declare(
    "WB508",
    Severity.ERROR,
    'Images for FUS 2 alone, and no others, are marked "FUS_v2 only"',
    """Without the mark, somebody with FUS 1.x deletes a working stack and then cannot install this one. With the mark
    on an ordinary image, somebody upgrades FUS for nothing, and there is no way back.""",
)
STRANGE_CELL = declare(
    "WB509",
    Severity.ERROR,
    "Every address cell holds NA or the start of a sector in which an image may begin",
    """The cell holds a text that is no address, an address outside flash or inside a sector, or the very start of
    flash, where CPU1's vector table lies.""",
)
TWO_ROWS = declare(
    "WB510",
    Severity.WARNING,
    "No file has two rows in the newest tables",
    """One of the two rows is meant for another file: its name was not changed when the row was copied. The first row is
    the one that is compared.""",
)
NO_SPARE = declare(
    "WB511",
    Severity.NOTE,
    "Above a FUS 1.x image on 1 MiB parts the usual two sectors are left free",
    """ST leaves them free in every release but v1.22.1. The image fits without them.""",
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

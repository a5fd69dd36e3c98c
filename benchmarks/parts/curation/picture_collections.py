"""The packages whose pictures measure curation, and of which kind their pictures are.

What is a photograph was decided by eye. Of some kinds of pictures there is one package alone, so
read each line, not just the sums.
"""

from dataclasses import dataclass
from typing import Literal

# Wallpapers are drawn or rendered at full size: shaded, smooth, often without any plain area.
Kind = Literal["photograph", "drawing", "wallpaper", "painting", "screenshot"]

DEBIAN = (
    *("debian-edu-artwork-emerald", "debian-edu-artwork-softwaves", "debian-edu-artwork-spacefun"),
    *("desktop-base", "gcompris-qt-data", "gnome-backgrounds", "hedgewars-data", "kphotoalbum"),
    *("lomiri-wallpapers", "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04"),
    *("mate-backgrounds", "opencv-doc", "openclipart-png", "palapeli-data"),
    *("plasma-workspace-wallpapers", "sway-backgrounds", "ukui-wallpapers", "wesnoth-1.16-data"),
    *("xfdesktop4-data", "gimp-help-en", "kate5-data", "ktouch-data", "kig", "kbruch", "okular"),
    *("krusader", "gnome-user-docs"),
)
NPM = (
    *("admin-lte@2.4.18", "blk-design-system@1.0.2", "lightgallery@1.10.0", "material-kit@2.0.4"),
    *("material-kit-react@1.10.0", "now-ui-kit@1.3.0", "paper-kit-2@2.1.0"),
    *("soft-ui-design-system@1.0.4", "startbootstrap-agency@7.0.12"),
    *("startbootstrap-business-casual@7.0.9", "startbootstrap-clean-blog@6.0.9"),
    *("startbootstrap-creative@7.0.7", "startbootstrap-grayscale@7.0.6"),
    *("startbootstrap-landing-page@6.0.6", "startbootstrap-one-page-wonder@6.0.6"),
    *("startbootstrap-stylish-portfolio@6.0.6", "tabler-ui@0.0.34", "uikit@3.25.29"),
)


@dataclass(frozen=True, slots=True)
class Collection:
    """Some pictures of one kind.

    Args:
        source: Whose pictures; those of one source are held out together.
        package: The folder, without its version.
        kind: Of all of them.
        wanted, unwanted: Regular expressions for paths in the package; the latter may be empty.
        min_side_px: Smaller ones are left out.
        most: A fixed choice of so many, where there are more.
    """

    source: str
    package: str
    kind: Kind
    wanted: str
    unwanted: str = ""
    min_side_px: int = 330
    most: int = 60


PLASMA_PHOTOGRAPHS = (
    "(BytheWater|ColdRipple|ColorfulCups|DarkestHour|EveningGlow|FallenLeaf|Grey|Kite|OneStandsOut"
    "|Path|summer_1am)/contents/images/2560x1600"
)
COMPOSED = r"landing\.jp|landing-page\.|profile\.jp|profile-page\.|logo|blurred|bg2\.jpeg|bg7\.jpeg"
GCOMPRIS_PHOTOGRAPHS = (
    "rcc/(explore_|erase/|clickgame/|categorization/|details/)",
    "details/00(29|43|50|60|69|79|92)|details/0117",  # paintings
)
WIKIMEDIA = (
    "aero1|aloeL|apple|baboon|board|building|butterfly|chicky_512|ela_modified|ela_original|fruits"
    "|home|left|left01|leuvenA|messi5|orange|right|rubberwhale1|smarties|squirrel_cls|stuff"
)


def _photographs(source: str, package: str, wanted: str, unwanted: str = "") -> Collection:
    return Collection(source, package, "photograph", wanted, unwanted, most=200)


COLLECTIONS = (
    _photographs("gcompris", "gcompris-qt-data", *GCOMPRIS_PHOTOGRAPHS),
    _photographs("kphotoalbum", "kphotoalbum", r"demo/[^/]*\.jpg"),
    _photographs("lomiri", "lomiri-wallpapers-16.04", "backgrounds/", "analogpattern|umang"),
    _photographs("lomiri", "lomiri-wallpapers-20.04", "backgrounds/Kleiber"),
    _photographs("mate", "mate-backgrounds", "nature/"),
    _photographs("opencv", "opencv-doc", rf"examples/data/({WIKIMEDIA})\."),
    _photographs("palapeli", "palapeli-data", "collection/"),
    _photographs("plasma", "plasma-workspace-wallpapers", PLASMA_PHOTOGRAPHS),
    _photographs("soft-ui", "soft-ui-design-system", r"\.jpg", rf"{COMPOSED}|curved"),
    _photographs("tabler", "tabler-ui", r"dist/.*photos/.*\.jpg", "-500\\."),
    _photographs("uikit", "uikit", r"images/.*\.jpe?g"),
    _photographs("lightgallery", "lightgallery", r"\.jpg", "thumb|-375|-480|1-1600"),
    _photographs("admin-lte", "admin-lte", r"dist/img/photo.*\.(jpg|png)"),
    *(
        _photographs("creative-tim", package, r"\.jpe?g", COMPOSED)
        for package in (
            *("blk-design-system", "material-kit", "material-kit-react"),
            *("now-ui-kit", "paper-kit-2"),
        )
    ),
    *(
        _photographs("startbootstrap", name.partition("@")[0], r"dist/.*\.jpg", "thumb|folio/[35]")
        for name in NPM
        if name.startswith("startbootstrap")
    ),
    Collection("gcompris", "gcompris-qt-data", "drawing", "rcc/lang/"),
    Collection("lomiri", "lomiri-wallpapers-16.04", "wallpaper", "analogpattern|umang"),
    Collection("lomiri", "lomiri-wallpapers-20.04", "wallpaper", "backgrounds/", "Kleiber"),
    Collection("lomiri", "lomiri-wallpapers", "wallpaper", "backgrounds/"),
    Collection("mate", "mate-backgrounds", "wallpaper", "backgrounds/mate/(abstract|desktop)/"),
    Collection(
        *("plasma", "plasma-workspace-wallpapers", "wallpaper"),
        wanted="contents/images(_dark)?/(5120x2880|3840x2160|3200x2000|2560x1600)",
        unwanted=PLASMA_PHOTOGRAPHS,
    ),
    Collection("soft-ui", "soft-ui-design-system", "wallpaper", "curved"),
    Collection("gnome", "gnome-backgrounds", "wallpaper", r"backgrounds/gnome/.*\.webp"),
    Collection("ukui", "ukui-wallpapers", "wallpaper", "backgrounds/"),
    Collection("xfce", "xfdesktop4-data", "wallpaper", "backgrounds/xfce/"),
    Collection("sway", "sway-backgrounds", "wallpaper", r"2048x1536\.png"),
    *(
        Collection(
            "debian", package, "wallpaper", r"(grub|background|preview).*\.(png|jpg)", "", 470
        )
        for package in DEBIAN
        if package.startswith(("desktop-base", "debian-edu"))
    ),
    Collection("openclipart", "openclipart-png", "drawing", r"\.png", min_side_px=400, most=120),
    Collection("hedgewars", "hedgewars-data", "drawing", "Themes/.*/(Sky|horizont|Border)"),
    Collection("hedgewars", "hedgewars-data", "drawing", r"Missions/.*@2x\.png", "", 200, 30),
    Collection("wesnoth", "wesnoth-1.16-data", "painting", "images/story/", min_side_px=500),
    Collection("wesnoth", "wesnoth-1.16-data", "painting", "images/portraits/", "", 380, 40),
    Collection(
        *("gimp", "gimp-help-en", "screenshot"),
        wanted="images/.*(dialog|prefs|assign|convert|menu|window|save-as|canvas-size|profile)",
        unwanted="images/(ca|cs|da|de|el|es|fi|fr|hr|it|ja|ko|lt|nb|nl|nn|pt|ro|ru|sl|sv|zh)",
        min_side_px=220,
    ),
    Collection("gnome-docs", "gnome-user-docs", "screenshot", r"/C/.*\.png", "", 250),
    *(
        Collection("kde-docs", package, "screenshot", r"HTML/en/.*\.png", "", 300)
        for package in ("kate5-data", "ktouch-data", "kig", "kbruch", "okular", "krusader")
    ),
)

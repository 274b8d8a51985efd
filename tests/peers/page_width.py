"""Whether the page's tables fit on screens of common widths: python tests/peers/page_width.py PAGE.html... [--browser chromium]

A page to look at: cargo run -p regatta-report --example sample_page -- page.html measured
Needs a Chromium. `Every trial` has a column for each measure and scrolls; all other tables must show their last column.
"""

import argparse
import html
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTHS = [1000, 1100, 1200, 1300, 1600]
MEASURE = """<script>
const tables = [...document.querySelectorAll(".scroll")].map(table =>
    [table.closest("section").querySelector("h2").textContent, table.scrollWidth, table.clientWidth]);
document.body.innerHTML = "<pre id=found></pre>";
document.getElementById("found").textContent = JSON.stringify(tables);
</script></body>"""


def tables(browser: str, page: Path, width: int) -> list:
    with tempfile.TemporaryDirectory() as folder:
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
        copy = Path(folder, "page.html")
        copy.write_text(text.replace("</body>", MEASURE))
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", f"--user-data-dir={folder}/profile", f"--window-size={width},1600"]
        shown = subprocess.run([browser, *quiet, "--dump-dom", copy.as_uri()], capture_output=True, text=True, check=True).stdout
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', shown, re.S)[1]))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("pages", nargs="+", type=Path)
    arguments.add_argument("--browser", default="chromium")
    given = arguments.parse_args()
    cut = [f"{page} at {width} px: {title}: {needed} px in {there}"
           for page in given.pages for width in WIDTHS for title, needed, there in tables(given.browser, page, width)
           if needed > there and title != "Every trial"]
    print("\n".join(cut) or f"all tables fit at {', '.join(map(str, WIDTHS))} px")
    sys.exit(bool(cut))


main()

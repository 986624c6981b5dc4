"""The pages over HTTP, and what is drawn on them."""

import pytest

from registry.names import DAY_S, day_of
from registry.pages.drawings import HEIGHT, draw_days, draw_dots, draw_land
from registry.views.queries import SIZE
from tests.helpers.asgi import ask
from tests.helpers.registry.site import BEGIN_S, Site, make_site

PLACE = {"country": "Belgium", "city": "Ghent", "latitude": 51.05, "longitude": 3.7}


@pytest.fixture(name="site")
def make() -> Site:
    site = make_site()
    site.add_farm("one", public={**PLACE, "description": "<script>alert(1)</script>"})
    return site


def show(site: Site, path: str, status: int = 200) -> str:
    """Return a page as a browser gets it."""
    answer = ask(site.app, path, accept="text/html")
    assert answer.status == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.text


def test_the_overview_has_sums_and_a_map(site: Site) -> None:
    site.add_node()
    text = show(site, "/")
    assert "1 nodes in 1 farms, 1 of them up" in text
    assert '<circle class="dot" cx="3.7" cy="-51.0"' in text
    assert "<li>Belgium: 1</li>" in text
    assert "8.0 GiB" in text


def test_a_farm_shows_what_its_owner_signed_as_text_and_its_nodes(site: Site) -> None:
    node = site.add_node()
    text = show(site, "/pages/farms/1")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in text
    assert f'href="/pages/nodes/{node.id}"' in text
    assert '<a href="/pages/farms/1">one</a>' in show(site, "/pages/farms")


def test_lists_are_paged(site: Site) -> None:
    nodes = [site.add_node(is_quick=True).id for _ in range(SIZE + 1)]
    first, second = (show(site, f"/pages/farms/1?page={number}") for number in (1, 2))
    assert [it for it in nodes if it in first] == nodes[:SIZE]
    assert [it for it in nodes if it in second] == nodes[SIZE:]
    assert "Page 1 of 2" in first
    assert 'rel="next" href="/pages/farms/1?page=2"' in first
    assert 'rel="prev" href="/pages/farms/1?page=1"' in second


def test_a_node_shows_its_history_and_marks(site: Site) -> None:
    node = site.add_node()
    for _ in range(36):
        site.now_s += 2400
        assert node.report()[0] == 200
    text = show(site, f"/pages/nodes/{node.id}")
    assert "2026-10-01: 100.0 %" in text
    assert "2026-09-30: not there yet" in text
    assert "Not enrolled" in text
    assert "Not attested" in text
    assert ">Up</span>" in text
    site.now_s += 3 * 2400
    assert ">Down</span>" in show(site, f"/pages/nodes/{node.id}")
    assert show(site, "/pages/nodes/1") == show(site, f"/pages/nodes/{node.id}")


def test_the_log_shows_its_head_and_key(site: Site) -> None:
    text = show(site, "/pages/log")
    assert site.get("/api/v1/log/head")["note"].split("\n")[2] in text.replace("&#43;", "+")
    assert "zos registry check" in text


def test_errors_are_pages_for_browsers_only(site: Site) -> None:
    assert "Nothing is here" in show(site, "/pages/farms/7", 404)
    assert "This cannot be asked" in show(site, "/pages/farms?page=0", 422)
    assert ask(site.app, "/pages/farms/7").headers["content-type"] == "application/problem+json"


def test_the_style_may_be_kept_under_its_own_name_only(site: Site) -> None:
    name = show(site, "/").split('rel="stylesheet" href="')[1].split('"')[0]
    assert "immutable" in ask(site.app, name).headers["cache-control"]
    assert ask(site.app, "/style-0.css").headers["cache-control"] == "no-cache"


def test_farms_that_are_near_each_other_are_one_dot() -> None:
    dots = draw_dots([(51.0, 3.7, 10), (51.1, 3.8, 0), (-33.0, 151.0, 5000)])
    assert [(dot.farms, dot.nodes) for dot in dots] == [(1, 5000), (2, 10)]
    assert dots[0].y == 33.0


def test_the_land_is_on_the_map() -> None:
    for outline in draw_land():
        points = [tuple(map(int, point.split(","))) for point in outline.split()]
        assert all(-180 <= x <= 180 and -85 <= y <= 60 for x, y in points)


def test_a_day_that_has_only_begun_is_measured_by_its_own_length() -> None:
    today = day_of(BEGIN_S)
    names = {today - 1: "before", today: "today"}
    noon = BEGIN_S + DAY_S / 2
    before, now = draw_days({today: 6 * 3600_000}, names, noon, BEGIN_S)
    assert before.percent is None
    assert (now.percent, now.height, now.state) == (50.0, HEIGHT / 2, "poor")

"""The pages for people: what is read works without a script, and nothing of others is executed."""

from flist.hub.pages.names import link, say_plainly, shown
from flist.hub.pages.words import say_count, say_size, say_time
from serving.pages import Pages

PAGES = Pages(
    "flist.hub",
    {
        "link": link,
        "shown": shown,
        "plain": say_plainly,
        "size": say_size,
        "time": say_time,
        "count": say_count,
    },
    images="'self' data:",
)
render_page = PAGES.render

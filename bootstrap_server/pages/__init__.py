"""The pages for people: plain HTML and one style sheet, complete without any script."""

from serving.pages import Pages

PAGES = Pages("bootstrap_server")
render_page = PAGES.render

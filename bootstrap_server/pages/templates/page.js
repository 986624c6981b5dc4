// Keeps pages current: fetches the same page again and takes over its parts that differ.
// Without this script, a button does the same.
"use strict";

const TYPING_MS = 300; // after the last key
const EVENTS_MS = 500; // for all events that come in between
const RETRY_MS = 10000;
let running = null;
let timer = 0;

function take(fresh) {
  const focused = document.activeElement?.id;
  for (const old of document.querySelectorAll("[data-part]")) {
    const part = fresh.getElementById(old.id);
    if (part && part.outerHTML !== old.outerHTML) old.replaceWith(document.adoptNode(part));
  }
  for (const field of document.querySelectorAll("input, select")) {
    const isWrong = fresh.getElementById(field.id)?.hasAttribute("aria-invalid");
    if (isWrong) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
  if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus();
}

async function refresh(address) {
  running?.abort();
  running = new AbortController();
  try {
    const reply = await fetch(address, { headers: { Accept: "text/html" }, signal: running.signal });
    take(new DOMParser().parseFromString(await reply.text(), "text/html"));
  } catch (error) {
    if (error.name !== "AbortError") console.warn(error.message); // the next change tries again
  }
}

const form = document.querySelector("form[data-live]");
form?.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const chosen = [...new FormData(form)].filter(([, text]) => text);
    const address = `${form.action}?${new URLSearchParams(chosen)}`;
    history.replaceState(null, "", address);
    refresh(address);
  }, TYPING_MS);
});

function follow(address) {
  const events = new EventSource(address);
  // Also when it opens: something may have happened while there was no connection.
  events.onmessage = events.onopen = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      refresh(location.href);
    }, EVENTS_MS);
  };
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, RETRY_MS, address);
  };
}

const live = document.querySelector("[data-events]");
if (live) follow(live.dataset.events);

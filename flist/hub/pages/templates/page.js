// Adds to pages that are complete without it: buttons that copy, files that are dropped, progress.
"use strict";

const RETRY_MS = 3000;

// -- copying --------------------------------------------------------------------------------------

async function copy(text, block) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  getSelection().selectAllChildren(block); // without TLS there is no clipboard; this still works
  if (!document.execCommand("copy")) throw new Error("the browser does not copy");
}

for (const block of document.querySelectorAll("pre[data-copy]")) {
  const button = document.createElement("button");
  const text = block.textContent;
  button.type = "button";
  button.className = "second copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await copy(text, block);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it and copy";
    }
    setTimeout(() => { button.textContent = "Copy"; }, RETRY_MS);
  });
  block.before(button);
}

// -- uploads --------------------------------------------------------------------------------------

function replacePage(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  document.title = fresh.title;
  document.querySelector("main").replaceWith(document.adoptNode(fresh.querySelector("main")));
  prepareUpload();
  document.querySelector("main").focus();
}

function send(form) {
  const place = form.querySelector("[data-sending]");
  const bar = place.querySelector("progress");
  const said = place.querySelector("[data-said]");
  const button = form.querySelector("[type=submit]");
  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    bar.value = (100 * event.loaded) / event.total;
    said.textContent = event.loaded < event.total ? `${Math.floor(bar.value)} %` : "The hub checks it";
  });
  request.addEventListener("load", () => {
    const isDone = request.status < 400 && request.responseURL !== form.action;
    if (isDone) location.assign(request.responseURL);
    else replacePage(request.responseText);
  });
  request.addEventListener("error", () => {
    said.textContent = "The connection broke. Nothing was published; try again.";
    button.disabled = false;
  });
  place.hidden = false;
  button.disabled = true;
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "text/html");
  request.send(new FormData(form));
}

function prepareUpload() {
  const form = document.querySelector("form[data-upload]");
  if (!form) return;
  const area = form.querySelector("[data-drop]");
  const field = area.querySelector("[type=file]");
  for (const kind of ["dragenter", "dragover"]) {
    area.addEventListener(kind, (event) => {
      event.preventDefault();
      area.classList.add("over");
    });
  }
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    const dropped = [...event.dataTransfer.files];
    const signature = dropped.find((file) => file.name.endsWith(".sig"));
    const flist = dropped.find((file) => file !== signature);
    if (flist) field.files = listOf(flist);
    if (signature) form.querySelector("#signature").files = listOf(signature);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}

function listOf(file) {
  const list = new DataTransfer();
  list.items.add(file);
  return list.files;
}

prepareUpload();

// -- jobs -----------------------------------------------------------------------------------------

function showEvent(place, event) {
  const percent = Number(event.progress);
  if (Number.isFinite(percent)) {
    place.querySelector("progress").value = percent;
    place.querySelector("[data-percent]").textContent = `${Math.round(percent)} %`;
  }
  if (event.message) place.querySelector("[data-message]").textContent = event.message;
  if (event.state) place.querySelector("[data-state]").textContent = event.state;
  return ["done", "failed", "cancelled"].includes(event.state);
}

function follow(place) {
  const events = new EventSource(place.dataset.events);
  const take = (message) => {
    if (!showEvent(place, JSON.parse(message.data))) return;
    events.close();
    location.reload(); // the page says what has come of it
  };
  events.onmessage = take;
  for (const kind of ["progress", "state"]) events.addEventListener(kind, take);
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), RETRY_MS);
  };
}

for (const place of document.querySelectorAll("[data-events]")) follow(place);

// Comfort for people with JavaScript. Each page and each action works without it.
"use strict";

// Times in the zone of the viewer; UTC stays as the title.
const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = format.format(new Date(time.dateTime));
  }
}

function enableCopy(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    });
  }
}

function enableForms(root) {
  for (const form of root.querySelectorAll("form")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) {
        event.preventDefault();
        return;
      }
      // A second click would send it twice.
      for (const button of form.querySelectorAll("button")) {
        setTimeout(() => { button.disabled = true; }, 0);
      }
      const text = "upload" in form.dataset ? "The plugin is being uploaded, compiled and tried out." : form.dataset.note;
      if (text) {
        const note = document.createElement("p");
        note.setAttribute("role", "status");
        note.textContent = text;
        form.append(note);
      }
    });
  }
}

function enable(root) {
  showTimes(root);
  enableCopy(root);
  enableForms(root);
}

// Replaces the content of the page with a fresh one.
async function reload(main) {
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.querySelector("main");
    if (!fresh) return;
    // What the viewer has unfolded stays so.
    for (const open of main.querySelectorAll("details[open][id]")) {
      const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
      if (same) same.open = true;
    }
    main.replaceChildren(...fresh.childNodes);
    enable(main);
    main.removeAttribute("data-stale");
  } catch {
    // The host does not answer: the page stays as it is, and says so.
    main.setAttribute("data-stale", "");
  }
}

// A page that changes is loaded again, unless the viewer is elsewhere, or uses a form of it.
function keepLive(main) {
  const seconds = Number(main.dataset.live);
  if (!seconds) return;
  setInterval(() => {
    const isUsed = main.contains(document.activeElement) && document.activeElement !== main;
    const isFilled = [...main.querySelectorAll("input:not([type=hidden])")].some((input) => input.value !== input.defaultValue);
    if (!document.hidden && !isUsed && !isFilled) reload(main);
  }, seconds * 1000);
}

// A page with events is loaded again after each of them, but not more often than twice a second.
function followEvents(main) {
  if (!main.dataset.events) return;
  const events = new EventSource(main.dataset.events);
  let isPlanned = false;
  const plan = () => {
    if (isPlanned) return;
    isPlanned = true;
    setTimeout(() => { isPlanned = false; reload(main); }, 500);
  };
  events.addEventListener("progress", plan);
  events.addEventListener("ended", () => { events.close(); plan(); });
}

enable(document);
keepLive(document.querySelector("main"));
followEvents(document.querySelector("main"));

// Keeps the page up to date: listens to /events, loads the page again when something happened, and
// changes what differs. Without this script the page reloads itself.
"use strict";
(() => {
  const OFTEN = 15000; // Times pass although nothing happens.
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  const job = () => main.querySelector("[data-job]")?.dataset;

  let source = null;
  let loading = false;
  let waiting = 0;
  let took = 0;
  let pressed = false;

  function say(text, state) {
    if (live.textContent !== text) live.textContent = text;
    live.dataset.state = state;
  }

  // `from` becomes equal to `to`; what is equal already stays, with its focus and its place.
  function change(from, to) {
    if (from.isEqualNode(to)) return;
    if (from.nodeName !== to.nodeName || from.id !== to.id || from.nodeType !== Node.ELEMENT_NODE) {
      from.replaceWith(document.importNode(to, true));
      return;
    }
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    const old = [...from.childNodes];
    const now = [...to.childNodes];
    now.forEach((node, place) => {
      if (place < old.length) change(old[place], node);
      else from.append(document.importNode(node, true));
    });
    old.slice(now.length).forEach((node) => node.remove());
  }

  function show(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const next = page.getElementById("main");
    if (!next) return;
    const focused = document.activeElement?.id;
    document.title = page.title;
    change(main, next);
    if (focused && document.activeElement?.id !== focused) {
      document.getElementById(focused)?.focus({ preventScroll: true });
    }
  }

  // Nothing is moved under somebody's hand.
  const isBusy = () => pressed || document.hidden || !document.getSelection().isCollapsed;

  async function load() {
    if (loading || isBusy()) return soon();
    loading = true;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      // To the sign-in page.
      if (answer.redirected) return location.reload();
      const text = await answer.text();
      if (!isBusy()) show(text);
    } catch {
      // The stream says that the daemon is not there.
    } finally {
      took = performance.now() - began;
      loading = false;
    }
  }

  // A storm of events loads the page once a while, and a slow daemon is asked less often.
  function soon() {
    if (waiting) return;
    const later = () => {
      waiting = 0;
      if (!document.hidden) load();
    };
    waiting = setTimeout(later, Math.max(400, 5 * took));
  }

  function happened(event) {
    const about = job();
    if (!about) return soon();
    const { job: id, runner } = JSON.parse(event.data);
    const ours = String(id) === about.job || (runner && about.runners.split(" ").includes(runner));
    if (ours) soon();
  }

  function listen() {
    source = new EventSource("/events");
    source.onopen = () => {
      say("Live", "on");
      // What happened before the stream was open, or while it was not.
      soon();
    };
    source.onerror = () => {
      say("Connection lost. Reconnecting…", "off");
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(listen, 3000);
      soon();
    };
    for (const kind of ["job", "runner", "pool", "health"]) source.addEventListener(kind, happened);
    source.addEventListener("reset", soon);
  }

  addEventListener("pointerdown", () => (pressed = true));
  for (const end of ["pointerup", "pointercancel", "blur"]) addEventListener(end, () => (pressed = false));
  document.addEventListener("visibilitychange", () => document.hidden || soon());
  setInterval(() => document.hidden || soon(), OFTEN);
  say("Connecting…", "off");
  listen();
})();

"use strict";
// Ask for this page again and take over what has changed, node by node, so that a selection, an
// opened row, the focus and the scroll position stay where they are.
(() => {
  const EVERY_MS = 2000;
  const PATIENCE_MS = 10000;

  function takeOver(now, next) {
    if (now.isEqualNode(next)) return;
    if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName || now.id !== next.id) {
      now.replaceWith(document.importNode(next, true));
      return;
    }
    if (now.nodeType === Node.TEXT_NODE) {
      now.data = next.data;
      return;
    }
    for (const { name } of [...now.attributes]) {
      if (!next.hasAttribute(name) && name !== "open") now.removeAttribute(name);
    }
    for (const { name, value } of next.attributes) {
      if (name !== "open" && now.getAttribute(name) !== value) now.setAttribute(name, value);
    }
    const before = [...now.childNodes];
    const after = [...next.childNodes];
    after.forEach((child, i) => {
      if (i < before.length) takeOver(before[i], child);
      else now.append(document.importNode(child, true));
    });
    before.slice(after.length).forEach((child) => child.remove());
  }

  async function refresh() {
    const answer = await fetch(location.href, {
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (!answer.ok) throw new Error(String(answer.status));
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    takeOver(document.querySelector("main"), next.querySelector("main"));
    takeOver(document.querySelector("header"), next.querySelector("header"));
    takeOver(document.querySelector("link[rel=icon]"), next.querySelector("link[rel=icon]"));
    document.title = next.title;
  }

  async function turn() {
    if (!document.hidden) {
      try {
        await refresh();
        document.body.classList.remove("stale");
      } catch {
        document.body.classList.add("stale");
      }
    }
    setTimeout(turn, EVERY_MS);
  }

  async function copy(button) {
    const shown = document.getElementById(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(shown.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(shown); // where a browser does not let us: marked, to be copied
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button);
  });

  document.body.classList.add("live");
  setTimeout(turn, EVERY_MS);
})();

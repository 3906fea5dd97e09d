// Keeps a page fresh while somebody looks at it. Everything is readable without this script.
"use strict";
(() => {
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  const address = live.dataset.live;
  if (!address || !window.EventSource) return;

  const SILENCE = 15000; // ms without news: the server speaks every 5 s
  const AGAIN = 5000;
  let stream = null;
  let heard = Date.now();
  let retry = 0;

  // Change only what differs, so that a tap, a selection or a reading aloud is not torn away by an update.
  function match(old, fresh) {
    const before = Array.from(old.childNodes);
    const after = Array.from(fresh.childNodes);
    after.forEach((node, index) => {
      const present = before[index];
      if (!present) {
        old.appendChild(document.importNode(node, true));
      } else if (present.nodeType !== node.nodeType || present.nodeName !== node.nodeName) {
        old.replaceChild(document.importNode(node, true), present);
      } else if (node.nodeType === Node.ELEMENT_NODE) {
        for (const { name } of Array.from(present.attributes)) {
          // Which details are open is the reader's own.
          if (!node.hasAttribute(name) && name !== "open") present.removeAttribute(name);
        }
        for (const { name, value } of Array.from(node.attributes)) {
          if (present.getAttribute(name) !== value) present.setAttribute(name, value);
        }
        match(present, node);
      } else if (present.nodeValue !== node.nodeValue) {
        present.nodeValue = node.nodeValue;
      }
    });
    before.slice(after.length).forEach((node) => node.remove());
  }

  function fresh() {
    heard = Date.now();
    lost.hidden = true;
    live.classList.remove("old");
  }

  function stale() {
    const asOf = document.getElementById("as-of");
    document.getElementById("lost-time").textContent = asOf ? asOf.textContent : "";
    lost.hidden = false;
    live.classList.add("old");
  }

  function close() {
    clearTimeout(retry);
    if (stream) stream.close();
    stream = null;
  }

  function open() {
    close();
    stream = new EventSource(address);
    stream.addEventListener("page", (event) => {
      // As it stands in the page, line ends included: white space counts as a node.
      const page = new DOMParser().parseFromString(`<main>\n${event.data}\n</main>`, "text/html");
      // After an update of the gateway its pages need their new style: load all of it.
      const made = page.querySelector("[data-made]");
      const shown = live.querySelector("[data-made]");
      if (made && shown && made.dataset.made !== shown.dataset.made) location.reload();
      match(live, page.querySelector("main"));
      fresh();
    });
    stream.addEventListener("error", () => {
      // The browser tries again by itself unless the answer was an error.
      if (stream && stream.readyState === EventSource.CLOSED) {
        close();
        retry = setTimeout(open, AGAIN);
      }
    });
  }

  // A page nobody looks at needs no stream; what it shows when it comes back is old until the first news.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
    } else {
      if (Date.now() - heard > SILENCE) stale();
      open();
    }
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      stale();
      open();
    }
  });
  window.addEventListener("pagehide", close);
  setInterval(() => {
    if (!document.hidden && Date.now() - heard > SILENCE) stale();
  }, 1000);
  if (!document.hidden) open();
})();

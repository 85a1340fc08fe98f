// Says so when a script of the page did not arrive: a phone that changes networks while a page loads cuts every request
// off, and the browser does not ask for a module again. No module itself, and loaded first: it must not miss it.

window.addEventListener(
  "error",
  (event) => {
    if (event.target instanceof HTMLScriptElement) {
      const said = () => document.getElementById("missing-part")?.removeAttribute("hidden");
      if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", said);
      else said();
    }
  },
  { capture: true },
);

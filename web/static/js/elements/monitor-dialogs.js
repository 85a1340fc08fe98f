// The questions of the console: native <dialog>s that the server has written, asked one at a time.

/**
 * Show a dialog with a <form method="dialog"> and wait for the answer.
 * @param {HTMLDialogElement} dialog
 * @param {(form: HTMLFormElement) => void} [prepare] fill it in before it is shown
 * @returns {Promise<FormData | null>} null when the person changed their mind
 */
export function ask(dialog, prepare) {
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
  form.reset();
  prepare?.(form);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const cancel = dialog.querySelector("[data-cancel]");
    const away = () => dialog.close("");
    cancel?.addEventListener("click", away);
    dialog.addEventListener(
      "close",
      () => {
        cancel?.removeEventListener("click", away);
        resolve(dialog.returnValue === "yes" ? new FormData(form) : null);
      },
      { once: true },
    );
  });
}

/**
 * A reason is one of the list, or the person's own words where those are filled in.
 * @param {FormData} data
 * @returns {string}
 */
export function reasonOf(data) {
  const own = String(data.get("own") ?? "").trim();
  return own || String(data.get("reason") ?? "");
}

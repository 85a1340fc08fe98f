// What an officer does to a call: ask what must be asked, tell the server, say what came of it.

import { make } from "./dom.js";
import { failureWords } from "./failures.js";
import { ask, reasonOf } from "./monitor-dialogs.js";

/** @typedef {"hold" | "mute" | "terminate" | "bookmark" | "note" | "say"} Act */

export class CallActions {
  /**
   * @param {import("./monitor-api.js").MonitorApi} api
   * @param {import("./words.js").Words} words
   * @param {(text: string, kind: "good" | "bad") => void} tell
   */
  constructor(api, words, tell) {
    this._api = api;
    this._words = words;
    this._tell = tell;
  }

  /**
   * @param {import("./monitor-api.js").Call} call
   * @returns {Promise<import("./monitor-api.js").Ground | null>} why the officer watches; null: he does not
   */
  async ground(call) {
    const dialog = dialogOf("ask-ground");
    const data = await ask(dialog, (form) => {
      name(dialog, call);
      const wanted = call.watch_required ? "policy" : "sample";
      for (const radio of form.querySelectorAll('input[name="ground"]')) {
        if (radio instanceof HTMLInputElement) radio.checked = radio.value === wanted;
      }
    });
    if (data === null) return null;
    const ground = /** @type {import("./monitor-api.js").Ground["ground"]} */ (data.get("ground"));
    return { ground, detail: String(data.get("detail") ?? "").trim() };
  }

  /**
   * @param {import("./monitor-api.js").Call} call
   * @param {Act} act
   */
  async run(call, act) {
    const steps = {
      hold: () => (call.phase === "held" ? this._resume(call) : this._hold(call)),
      mute: () => this._mute(call),
      terminate: () => this._terminate(call),
      bookmark: () => this._send(call, "bookmark", { note: "" }, "done_bookmark"),
      note: () => this._note(call),
      say: () => this._say(call),
    };
    await steps[act]();
  }

  /** @param {import("./monitor-api.js").Call} call */
  async _hold(call) {
    const dialog = dialogOf("ask-hold");
    const data = await ask(dialog, () => name(dialog, call));
    if (data === null) return;
    await this._send(call, "hold", { reason: reasonOf(data), words: String(data.get("words") ?? "") }, "done_hold");
  }

  /** @param {import("./monitor-api.js").Call} call */
  async _resume(call) {
    const dialog = dialogOf("ask-resume");
    const data = await ask(dialog, () => name(dialog, call));
    if (data !== null) await this._send(call, "resume", { reason: reasonOf(data) }, "done_resume");
  }

  /** @param {import("./monitor-api.js").Call} call */
  async _mute(call) {
    const people = call.participants.filter((person) => person.present || person.connected);
    if (people.length === 0) return this._tell(this._words.say("nobody_there"), "bad");
    const dialog = dialogOf("ask-mute");
    const data = await ask(dialog, () => {
      name(dialog, call);
      const list = dialog.querySelector("[data-people]");
      const choices = people.flatMap((person) => [
        ...(/** @type {const} */ (["audio", "video"]).map((kind) => this._muteChoice(person, kind))),
        this._choice(person, person.held ? "resume" : "hold"),
        this._choice(person, "remove"),
      ]);
      choices[0]?.querySelector("input")?.setAttribute("checked", "");
      list?.replaceChildren(...choices);
    });
    if (data === null) return;
    const [participant, kind, muted] = String(data.get("what")).split(" ");
    if (kind === "hold" || kind === "resume" || kind === "remove") {
      const words = kind === "resume" ? {} : { words: String(data.get("words") ?? "") };
      await this._send(call, kind, { participant_id: participant, reason: reasonOf(data), ...words }, `done_${kind}_one`);
      return;
    }
    const body = { participant_id: participant, kind, muted: muted === "on", reason: reasonOf(data) };
    await this._send(call, "mute", body, muted === "on" ? "done_mute" : "done_unmute");
  }

  /**
   * @param {import("./monitor-api.js").Person} person
   * @param {"audio" | "video"} kind
   */
  _muteChoice(person, kind) {
    const isMuted = person.muted.includes(kind);
    return this._choice(person, kind, isMuted ? "off" : "on", `${isMuted ? "unmute" : "mute"}_${kind}`);
  }

  /**
   * @param {import("./monitor-api.js").Person} person
   * @param {string} what
   * @param {"on" | "off"} way
   * @param {string} key of the sentence
   */
  _choice(person, what, way = "on", key = `${what}_one`) {
    const text = this._words.say(key, { name: person.name });
    const value = `${person.participant_id} ${what} ${way}`;
    return make("label", { class: "choice" }, [make("input", { type: "radio", name: "what", value, required: true }), make("span", { text })]);
  }

  /** @param {import("./monitor-api.js").Call} call */
  async _terminate(call) {
    const dialog = dialogOf("ask-terminate");
    const data = await ask(dialog, () => name(dialog, call));
    if (data === null) return;
    await this._send(call, "terminate", { reason: reasonOf(data), words: String(data.get("words") ?? "") }, "done_terminate");
  }

  /** @param {import("./monitor-api.js").Call} call */
  async _note(call) {
    const dialog = dialogOf("ask-note");
    const data = await ask(dialog, () => name(dialog, call));
    if (data !== null) await this._send(call, "bookmark", { note: String(data.get("note") ?? "") }, "done_note");
  }

  /** @param {import("./monitor-api.js").Call} call */
  async _say(call) {
    const dialog = dialogOf("ask-say");
    const data = await ask(dialog, () => name(dialog, call));
    if (data !== null) await this.say(call, reasonOf(data));
  }

  /**
   * @param {import("./monitor-api.js").Call} call
   * @param {string} text
   * @returns {Promise<boolean>} whether it was sent
   */
  say(call, text) {
    return this._send(call, "say", { text }, "done_say");
  }

  /**
   * @param {import("./monitor-api.js").Call} call
   * @param {"hold" | "resume" | "mute" | "remove" | "terminate" | "bookmark" | "say"} what
   * @param {Record<string, unknown>} body
   * @param {string} done key of what to say then
   * @returns {Promise<boolean>}
   */
  async _send(call, what, body, done) {
    try {
      await this._api.act(call.call_id, what, body);
      this._tell(this._words.say(done, { prisoner: call.prisoner }), "good");
      return true;
    } catch (error) {
      this._tell(failureWords(this._words, error), "bad");
      return false;
    }
  }
}

/**
 * @param {string} id
 * @returns {HTMLDialogElement}
 */
function dialogOf(id) {
  return /** @type {HTMLDialogElement} */ (document.getElementById(id));
}

/**
 * Say in the dialog which call it is about: with twelve on the screen that must be plain.
 * @param {HTMLDialogElement} dialog
 * @param {import("./monitor-api.js").Call} call
 */
function name(dialog, call) {
  for (const place of dialog.querySelectorAll("[data-call]")) place.textContent = [call.prisoner, ...call.visitors].join(" – ");
}

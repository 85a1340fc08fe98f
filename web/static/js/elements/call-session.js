// One party of a call: family page and terminal alike. Puts the protocol modules and the view together.

import { Api } from "../protocol/api.js";
import { Backoff } from "../protocol/backoff.js";
import { Channel, channelUrl } from "../protocol/channel.js";
import { VisitError } from "../protocol/errors.js";
import { QualityWatch } from "../protocol/stats.js";
import { WhipClient } from "../protocol/whip.js";
import { CallView } from "./call-view.js";
import { chime } from "./chime.js";
import { closeDevices, deviceFault, openDevices } from "./devices.js";
import { failureWords } from "./failures.js";
import { Roster } from "./roster.js";
import { csrfToken, wordsOf } from "./words.js";

/**
 * @typedef {object} Ticket as POST …/ticket answers
 * @property {string} ticket
 * @property {string} whip
 * @property {string} channel
 * @property {RTCIceServer[]} [ice_servers]
 */

/** A ticket is good for several minutes; asking again within this time gives the same one. */
const TICKET_KEPT = 20_000;
const MORE_SLOTS = 3; // up to five parties
const VIEW_SETTLES = 300; // milliseconds without a change of sizes before they are told

export class CallSession {
  /** @param {HTMLElement} host the <visit-call> with its attributes; `data-phase`, `data-media`, `data-channel` say what is so */
  constructor(host) {
    this._host = host;
    this._words = wordsOf(host);
    this._view = new CallView(this._words, { whoSees: host.getAttribute("who-sees") ?? "" });
    this._listening = new AbortController();
    this._roster = new Roster();
    /** @type {MediaStream | null} */
    this._stream = null;
    /** @type {{ticket: Promise<Ticket>, at: number} | null} */
    this._ticket = null;
    /** @type {Channel | null} */
    this._channel = null;
    /** @type {WhipClient | null} */
    this._whip = null;
    /** @type {import("../protocol/channel.js").Message | null} */
    this._state = null;
    this._endsAt = 0;
    this._skew = 0;
    this._over = false;
    /** What the server was told of the sizes in which people are shown. */
    this._viewTold = "";
    /** @type {{up: string, down: string}} one's own line */
    this._line = { up: "good", down: "good" };
    this._heldWords = "";
    /** @type {unknown} why the channel failed last */
    this._why = null;
    this._on = { microphone: true, camera: true, sound: true };
    this._quality = new QualityWatch(() => this._whip?.connection ?? null, (measure) => this._measured(measure));
  }

  start() {
    this._view.onSwitch = (name) => void this._switch(name);
    this._view.onLeave = () => void this._leave();
    this._view.onTouch = () => this._touched();
    this._view.onResize = () => this._viewChanged();
    this._host.replaceChildren(...this._view.parts);
    this._ticker = setInterval(() => this._tick(), 1_000);
    const { signal } = this._listening;
    // A page that is put away cannot wait for answers: the server is told, and notices by itself if that is lost.
    addEventListener("pagehide", () => this._hangUp(), { signal });
    addEventListener("pageshow", (event) => event.persisted && location.reload(), { signal });
    addEventListener("online", () => this._whip?.nudge(), { signal });
    document.addEventListener("visibilitychange", () => this._viewChanged(), { signal });
    void this._join();
  }

  close() {
    this._listening.abort();
    clearInterval(this._ticker);
    clearTimeout(this._viewSettling);
    this._hangUp();
  }

  async _join() {
    this._view.overlay("devices_title", ["devices_text"]);
    const stream = await this._openDevices();
    if (stream === null || this._over) return closeDevices(stream);
    this._stream = stream;
    this._view.setOwn(stream);
    for (const name of /** @type {const} */ (["microphone", "camera", "sound"])) this._view.setSwitch(name, this._on[name]);
    this._view.overlay("connecting_title", ["connecting_text"]);
    try {
      await this._getTicket();
      this._startChannel();
      await this._startMedia();
    } catch (error) {
      this._failed(error);
    }
  }

  /** Both devices, or the one there is: voice first. @returns {Promise<MediaStream | null>} */
  async _openDevices() {
    /** @type {unknown} */
    let first;
    for (const wanted of [{}, { video: false }, { audio: false }]) {
      try {
        const stream = await openDevices(wanted);
        this._on.microphone = stream.getAudioTracks().length > 0;
        this._on.camera = stream.getVideoTracks().length > 0;
        return stream;
      } catch (error) {
        first ??= error;
      }
    }
    this._view.overlay("no_devices_title", [`camera_${deviceFault(first)}`], [["retry", () => void this._join()]]);
    return null;
  }

  /** @returns {Promise<Ticket>} */
  _getTicket() {
    const now = Date.now();
    if (this._ticket === null || now - this._ticket.at > TICKET_KEPT) {
      const ticket = new Api({ csrf: csrfToken() }).post(this._host.getAttribute("ticket") ?? "");
      this._ticket = { ticket, at: now };
      ticket.catch(() => (this._ticket = null));
    }
    return this._ticket.ticket;
  }

  _startChannel() {
    // Asked anew for every connection: the call may have moved to another media node meanwhile.
    const channel = new Channel({
      url: async () => channelUrl((await this._getTicket()).channel, location.href),
      ticket: async () => (await this._getTicket()).ticket,
      // A call whose node was lost is on another within seconds: asked often, so that people are back as soon as it is.
      backoff: new Backoff({ first: 300, most: 1_500, tries: 90 }),
    });
    this._channel = channel;
    channel.on("welcome", (message) => this._welcomed(message));
    channel.on("state", (message) => this._stated(message));
    channel.on("slots", (message) => this._show(() => this._roster.setSlots(message.slots)));
    channel.on("participants", (message) => this._people(message.participants));
    channel.on("talking", (message) => this._view.setTalking(message.participant_id, message.level < 127));
    channel.on("speaker", (message) => this._view.setSpeaker(message.participant_id));
    channel.on("held", (message) => this._held(message));
    channel.on("removed", (message) => this._removed(message));
    channel.on("line", (message) => this._lineChanged(message));
    channel.on("officer", (message) => this._officerSpeaks(message));
    channel.on("notice", (message) => this._view.note(this._words.count("notice", message.minutes)));
    channel.on("draining", () => this._view.note(this._words.say("draining"), { keep: true }));
    channel.on("message", (message) => this._view.note(this._words.say("officer_says", { text: message.text }), { keep: true }));
    channel.on("muted", (message) => this._mutedByOfficer(message));
    channel.on("watching", (message) => this._view.setWatching(message.watching));
    channel.on("ended", (message) => this._ended(message));
    channel.on("replaced", () => this._replaced());
    channel.on("failure", (failure) => {
      this._why = failure;
      this._ticket = null;
    });
    channel.on("status", (status) => this._channelStatus(status));
    void channel.run();
  }

  async _startMedia() {
    if (this._stream === null) return;
    const whip = new WhipClient({
      url: async () => new URL((await this._getTicket()).whip, location.href).href,
      ticket: async () => (await this._getTicket()).ticket,
      stream: this._stream,
      moreSlots: MORE_SLOTS,
      talk: true,
      iceServers: async () => (await this._getTicket()).ice_servers ?? [],
    });
    this._whip = whip;
    whip.on("track", ({ track, mid, transceiver }) => {
      if (transceiver === whip.talkLine) this._view.setTalk(track);
      else this._show(() => this._roster.addTrack(mid, track));
    });
    whip.on("error", () => (this._ticket = null));
    whip.on("state", () => {
      this._host.dataset["media"] = whip.state;
      this._viewTold = ""; // a new session has been told nothing
      this._viewChanged();
      this._cover();
    });
    this._quality.start();
    await whip.start();
  }

  /** @param {import("../protocol/channel.js").Message} message */
  _welcomed(message) {
    this._roster.me = this._view.me = message.participant_id ?? "";
    this._skew = new Date(message.server_time).getTime() - Date.now();
    this._view.setWatching(message.watching);
    this._view.setSpeaker(message.speaker ?? null);
    this._view.caption(null); // whoever is spoken to now hears so after this
    this._show(() => {
      this._roster.setPeople(message.participants);
      this._roster.setAllMuted(message.muted);
      this._roster.setSlots(message.slots);
    });
    this._stated(message.state);
    this._tellDevices();
    this._viewTold = "";
    this._viewChanged();
    void this._whip?.follow();
  }

  /** @param {import("./roster.js").Person[]} people */
  _people(people) {
    this._show(() => {
      const changes = this._roster.setPeople(people);
      // Of two, the cover over the picture says what has happened to the other one.
      if (this._roster.size > 2) for (const { what, name } of changes) this._view.announce(this._words.say(`person_${what}`, { name }));
    });
    this._cover();
  }

  /** @param {import("../protocol/channel.js").Message} message */
  _held(message) {
    this._heldWords = message.held ? message.words : "";
    if (!message.held) this._view.note(this._words.say("held_you_over"));
    this._cover();
  }

  /** @param {import("../protocol/channel.js").Message} message an officer's voice is to be heard, or no longer */
  _officerSpeaks(message) {
    this._view.caption(message.talking ? this._words.say(`officer_talks_${message.to}`) : null);
    if (message.talking) void chime();
  }

  /** @param {import("../protocol/channel.js").Message} message */
  _lineChanged(message) {
    const { participant_id: id, direction, line } = message;
    if (id !== this._roster.me) {
      if (direction === "up") this._show(() => this._roster.setVoiceOnly(id, line === "voice_only"));
      return;
    }
    this._line[/** @type {"up" | "down"} */ (direction)] = line;
    // The relay shows the picture to nobody then; not sending it leaves the line to the voice.
    if (direction === "up") void this._whip?.sendPicture(line !== "voice_only").catch(() => {});
    const worst = this._line.up !== "good" ? `line_up_${this._line.up}` : this._line.down !== "good" ? `line_down_${this._line.down}` : "";
    this._view.setLine(worst === "" ? "" : this._words.say(worst));
  }

  /** Tell the server how large everybody is shown, so that small pictures cost little; when the sizes have settled. */
  _viewChanged() {
    clearTimeout(this._viewSettling);
    this._viewSettling = setTimeout(() => {
      const slots = this._roster.view(document.hidden ? new Map() : this._view.heights());
      const told = JSON.stringify(slots);
      if (told === this._viewTold || told === "{}") return;
      if (this._channel?.send({ type: "view", slots })) this._viewTold = told;
    }, VIEW_SETTLES);
  }

  /** @param {import("../protocol/channel.js").Message} state */
  _stated(state) {
    this._state = state;
    this._endsAt = new Date(state.ends_at).getTime();
    this._host.dataset["phase"] = state.state;
    this._tick();
    this._cover();
  }

  /** @param {() => void} change */
  _show(change) {
    change();
    this._view.setRemotes(this._roster.remotes(this._host.getAttribute("remote-name") ?? ""));
    this._view.setSound(this._on.sound);
    this._quality.pictureWanted = this._roster.pictureExpected;
  }

  /** Say why there is no picture, or take the cover away. One place decides, from all that is known. */
  _cover() {
    if (this._over || this._view.covered === "touch_title") return;
    const phase = this._state?.state ?? "";
    const media = this._whip?.state ?? "idle";
    if (media === "failed") return this._failed(new VisitError("media"));
    if (media === "interrupted") return this._view.overlay("broken_title", ["broken_text"]);
    if (this._roster.amHeld && (phase === "live" || phase === "held")) {
      return this._view.overlay("held_title", ["held_you", this._heldWords, "held_you_next"]);
    }
    if (phase === "live" && media === "connected") return this._view.hideOverlay();
    const words = this._state?.words ?? "";
    const by = this._state?.by ?? "system";
    if (phase === "held") return this._view.overlay("held_title", [by === "staff" ? "held_by_staff" : "held_by_system", words, "held_next"]);
    if (phase === "waiting_monitor") return this._view.overlay("held_title", ["monitor_gone", "monitor_next"]);
    const waiting = /** @type {string[]} */ (this._state?.waiting_for ?? []).filter((side) => side !== this._host.getAttribute("side"));
    if (phase === "reconnecting" && waiting.length > 0) return this._view.overlay("other_broken_title", ["other_broken_text"]);
    if (phase === "lobby_open" || phase === "ready") return this._view.overlay("waiting_title", [waiting.length > 0 ? "waiting_other" : "waiting_prison"]);
    this._view.overlay("connecting_title", ["connecting_text"]);
  }

  /** @param {import("./call-view.js").Switch} name */
  async _switch(name) {
    const on = !this._on[name];
    if (name === "sound") this._view.setSound(on);
    else if (name === "microphone") {
      const tracks = this._stream?.getAudioTracks() ?? [];
      if (tracks.length === 0) return this._view.note(this._words.say("microphone_none"));
      for (const track of tracks) track.enabled = on;
    } else if (!(await this._switchCamera(on))) return;
    this._on[name] = on;
    this._view.setSwitch(name, on);
    this._tellDevices();
  }

  /**
   * The camera is really off when it is off: its light goes out.
   * @param {boolean} on
   * @returns {Promise<boolean>} whether it worked
   */
  async _switchCamera(on) {
    if (!on) {
      for (const track of this._stream?.getVideoTracks() ?? []) track.stop();
      await this._whip?.replace("video", null);
      this._view.setOwnPicture(false);
      return true;
    }
    try {
      const [track] = (await openDevices({ audio: false })).getVideoTracks();
      if (track) await this._whip?.replace("video", track);
      this._view.setOwnPicture(true);
      return true;
    } catch (error) {
      this._view.note(this._words.say(`camera_${deviceFault(error)}`));
      return false;
    }
  }

  _tellDevices() {
    const has = (/** @type {"audio" | "video"} */ kind) => this._stream?.getTracks().some((track) => track.kind === kind) ?? false;
    const microphone = !has("audio") ? "missing" : this._on.microphone ? "on" : "off";
    const camera = this._on.camera ? (has("video") ? "on" : "missing") : "off";
    this._channel?.send({ type: "device", microphone, camera });
  }

  /** @param {import("../protocol/stats.js").Measure} measure */
  _measured(measure) {
    if (this._state?.state !== "live") return;
    this._view.setQuality(measure.quality);
    this._channel?.send({ type: "quality", rtt_ms: measure.roundTripMs, loss: measure.loss, kbit_in: measure.kbps, height: measure.frameHeight });
  }

  /** @param {import("../protocol/channel.js").Message} message */
  _mutedByOfficer(message) {
    this._show(() => this._roster.setMuted(message.participant_id, message.kind, message.muted));
    if (message.participant_id !== this._roster.me) return;
    this._view.note(this._words.say(`officer_${message.muted ? "muted" : "unmuted"}_${message.kind}`), { keep: message.muted });
  }

  /** @param {import("../protocol/channel.js").ChannelState} status */
  _channelStatus(status) {
    this._host.dataset["channel"] = status;
    if (status !== "failed") return;
    const refused = this._why instanceof VisitError && !this._why.passing && this._why.status !== 400;
    this._failed(refused ? this._why : new VisitError("channel"));
  }

  /** @param {import("../protocol/channel.js").Message} message */
  _ended(message) {
    const key = `ended_${message.outcome}`;
    this._finish("ended_title", [this._words.has(key) ? key : "ended_ended", message.words ?? ""], [["go_on", () => this._go("after")]], true);
    this._leaving = setTimeout(() => this._go("after"), 8_000);
  }

  /** @param {import("../protocol/channel.js").Message} message */
  _removed(message) {
    this._finish("removed_title", ["removed_text", message.words ?? ""], [["go_on", () => this._go("after")]], true);
  }

  _replaced() {
    this._finish("replaced_title", ["replaced_text"], [["use_here", () => location.reload()]], true);
  }

  /** @param {unknown} error */
  _failed(error) {
    if (this._over) return;
    // The door has not been passed, or it is not time yet: the waiting room explains and leads back.
    if (error instanceof VisitError && [403, 409].includes(error.status)) return this._go("waiting");
    this._finish("failed_title", [failureWords(this._words, error)], [["retry", () => location.reload()]]);
  }

  /**
   * @param {string} title
   * @param {string[]} lines
   * @param {[string, () => void][]} buttons
   * @param {boolean} [gone] the server has let go of the media already
   */
  _finish(title, lines, buttons, gone = false) {
    this._over = true;
    // Switches of a call that is over would do nothing, and its time left is no time any more.
    this._host.classList.toggle("is-over", gone);
    this._hangUp(gone);
    this._view.closeDialog();
    this._view.setRemotes([]);
    this._view.overlay(title, lines, buttons);
  }

  async _leave() {
    this._over = true;
    this._channel?.close();
    await this._whip?.close();
    this._go("after");
  }

  _touched() {
    this._view.hideOverlay();
    this._view.playAll();
    this._cover();
  }

  /** @param {boolean} [gone] */
  _hangUp(gone = false) {
    this._over = true;
    this._quality.stop();
    this._channel?.close();
    void this._whip?.close({ gone });
    closeDevices(this._stream);
  }

  /** @param {"after" | "waiting"} where */
  _go(where) {
    clearTimeout(this._leaving);
    location.assign(this._host.getAttribute(where) ?? "/");
  }

  _tick() {
    if (this._endsAt > 0) this._view.setLeft((this._endsAt - Date.now() - this._skew) / 1000);
  }
}

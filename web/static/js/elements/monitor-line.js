// One officer's connection to one media node: every watched call of that node in it, and one control channel for all.

import { Channel, channelUrl } from "../protocol/channel.js";
import { Emitter } from "../protocol/emitter.js";
import { VisitError } from "../protocol/errors.js";
import { WallClient } from "../protocol/wall.js";

const AUDIO_SLOTS = 5; // as many people as a call may have
const WARRANTS_AT_ONCE = 8; // a message has room for some more
/** After these the call may be found elsewhere, or here again in a moment. */
const MOVED = new Set(["unknown_call", "node_stops", "room_closed"]);
const FOLLOW_AGAIN = 5_000;

/**
 * @typedef {object} LineEvents
 * @property {VisitError} error what the officer should read
 * @property {{request: string, error: VisitError}} refused
 * @property {null} empty nothing is watched on it any more
 */

/** @extends {Emitter<LineEvents>} */
export class MonitorLine extends Emitter {
  /**
   * @param {import("./monitor-api.js").WatchGrant} grant of the first watch: where the node is
   * @param {number} videoSlots two for each call that may be watched
   */
  constructor(grant, videoSlots) {
    super();
    /** @type {Map<string, import("./monitor-watch.js").MonitorWatch>} */
    this._watches = new Map();
    /** @type {Map<string, MediaStreamTrack>} */
    this._tracks = new Map();
    /** @type {Map<string, HTMLAudioElement>} by m-line */
    this._voices = new Map();
    /** @type {import("./monitor-watch.js").WallSlot[]} */
    this._slots = [];
    /** @type {string[]} */
    this._order = [];
    /** @type {string | null} */
    this._focus = null;
    this._sound = false;
    this._greeted = ""; // the session that the channel is for
    this._closed = false;
    const ticket = async () => (await this._first().grant()).warrant;
    const iceServers = async () => (await this._first().grant()).ice_servers;
    this.wall = new WallClient({ url: grant.wall, ticket, iceServers, videoSlots, audioSlots: AUDIO_SLOTS });
    this._channel = new Channel({ url: channelUrl(grant.channel, location.href), ticket, session: () => this._session() });
    this._listen();
    // Not before the first watch has joined: it has the warrant.
    this._starting = Promise.resolve().then(() => this.wall.start());
    this._starting.then(
      () => void this._channel.run(),
      (error) => this._failed(error),
    );
  }

  /** @param {import("./monitor-watch.js").MonitorWatch} watch */
  join(watch) {
    this._watches.set(watch.callId, watch);
    watch.setStatus(this._status());
    // Without a channel now, the next one shows every warrant.
    if (this._channel.status === "open") void this._send([watch]);
  }

  /** @param {import("./monitor-watch.js").MonitorWatch} watch */
  leave(watch) {
    if (this._watches.get(watch.callId) !== watch) return;
    this._watches.delete(watch.callId);
    if (this._watches.size === 0) return void this.close();
    this._channel.send({ type: "unwatch", call_id: watch.callId });
    this._show();
  }

  /**
   * @param {import("./monitor-watch.js").MonitorWatch} watch
   * @param {string} warrant
   */
  renew(watch, warrant) {
    // Without a channel now, the next one shows the warrant.
    if (this._watches.get(watch.callId) === watch) this._channel.send({ type: "watch", warrants: [warrant] });
  }

  /**
   * Which calls come first, which one is large and in the audio slots, and whether it is played.
   * @param {string[]} order
   * @param {string | null} focus
   * @param {boolean} sound
   */
  show(order, focus, sound) {
    this._order = order;
    this._focus = focus;
    this._sound = sound;
    this._show();
  }

  /**
   * Be heard, under a warrant for it.
   * @param {string} warrant
   * @param {MediaStreamTrack} voice
   */
  async talk(warrant, voice) {
    await this.wall.setVoice(voice);
    if (!this._channel.send({ type: "talk", warrant })) throw new VisitError("channel");
  }

  /** Be heard no more; nothing is sent from here on, whatever the server has heard of it. */
  async hush() {
    this._channel.send({ type: "hush" });
    await this.wall.setVoice(null);
  }

  /** @param {string} callId */
  has(callId) {
    return this._watches.has(callId);
  }

  async close() {
    if (this._closed) return;
    this._closed = true;
    this._channel.close();
    for (const voice of this._voices.values()) voice.srcObject = null;
    this.emit("empty", null);
    await this.wall.close();
  }

  _first() {
    const [first] = this._watches.values();
    if (first === undefined) throw new VisitError("closed");
    return first;
  }

  /** The session to sit down at. Media makes a new one by itself; until then the question waits. */
  async _session() {
    await this._starting;
    if (this.wall.sessionId === "") throw new VisitError("offline");
    this._greeted = this.wall.sessionId;
    return this._greeted;
  }

  _status() {
    if (this.wall.state === "connected" && this._channel.status === "open") return "watching";
    return this._greeted === "" ? "connecting" : "interrupted";
  }

  _tellStatus() {
    const status = this._status();
    for (const watch of this._watches.values()) watch.setStatus(status);
  }

  _listen() {
    const { wall, _channel: channel } = this;
    wall.on("track", ({ mid, kind, track }) => {
      this._tracks.set(mid, track);
      if (kind === "audio") this._addVoice(mid, track);
      this._place();
    });
    wall.on("state", (state) => {
      if (state === "connected" && this._greeted !== "" && wall.sessionId !== this._greeted) channel.again();
      if (state === "failed") this._failed(new VisitError("media"));
      this._tellStatus();
    });
    // While the way there is broken, the calls may go on at another node.
    wall.on("error", () => this._followAll());
    channel.on("welcome", (message) => this._welcomed(message));
    channel.on("slots", (message) => {
      this._slots = message.slots;
      this._place();
    });
    channel.on("call", (message) => this._watches.get(message.call_id)?.take(message.message));
    channel.on("unwatched", (message) => this._unwatched(message));
    channel.on("speech", (message) => this._watches.get(message.call_id)?.emit("speech", message));
    channel.on("refused", (message) => this.emit("refused", { request: message.request, error: new VisitError(message.code, "", { status: 409 }) }));
    channel.on("status", (status) => {
      if (status === "failed") this._failed(new VisitError("channel"));
      this._tellStatus();
    });
  }

  /** @param {import("../protocol/channel.js").Message} message */
  _welcomed(message) {
    this._slots = message.slots;
    this._place();
    // All of them: a warrant may have been renewed while there was no channel.
    void this._send([...this._watches.values()]);
    for (const call of message.calls) if (!this._watches.has(call)) this._channel.send({ type: "unwatch", call_id: call });
    this._show();
    this._tellStatus();
  }

  /**
   * Show the server the warrants of these watches.
   * @param {import("./monitor-watch.js").MonitorWatch[]} watches
   */
  async _send(watches) {
    /** @type {string[]} */
    const warrants = [];
    for (const watch of watches) {
      try {
        warrants.push((await watch.grant()).warrant);
      } catch (error) {
        if (error instanceof VisitError && !error.passing) await watch.stop({ failed: error });
      }
    }
    for (let first = 0; first < warrants.length; first += WARRANTS_AT_ONCE) {
      this._channel.send({ type: "watch", warrants: warrants.slice(first, first + WARRANTS_AT_ONCE) });
    }
    if (warrants.length > 0) this._show();
  }

  /** @param {import("../protocol/channel.js").Message} message */
  _unwatched(message) {
    const watch = this._watches.get(message.call_id);
    if (watch === undefined || watch.over) return;
    if (MOVED.has(message.code)) this._followLater(watch);
    else if (["call_over", "wrong_state"].includes(message.code)) void watch.stop();
    else if (message.code !== "closed") void watch.stop({ failed: new VisitError(message.code, "", { status: 409 }) });
  }

  /** @param {import("./monitor-watch.js").MonitorWatch} watch */
  _followLater(watch) {
    watch.setStatus("interrupted");
    setTimeout(() => void watch.follow(), FOLLOW_AGAIN);
  }

  _followAll() {
    if (this._following || this._closed) return;
    this._following = setTimeout(() => {
      this._following = undefined;
      if (this.wall.state === "connected" || this._closed) return;
      for (const watch of [...this._watches.values()]) void watch.follow();
    }, FOLLOW_AGAIN);
  }

  _show() {
    const order = [...this._order.filter((id) => this._watches.has(id))];
    const focus = this._focus !== null && this._watches.has(this._focus) ? this._focus : null;
    this._channel.send({ type: "show", tiles: order, focus });
    this._play();
  }

  _place() {
    for (const watch of this._watches.values()) {
      watch.place(this._slots.filter((slot) => slot.call_id === watch.callId), this._tracks);
    }
    this._play();
  }

  /**
   * @param {string} mid
   * @param {MediaStreamTrack} track
   */
  _addVoice(mid, track) {
    const voice = this._voices.get(mid) ?? new Audio();
    voice.autoplay = true;
    voice.muted = true;
    voice.srcObject = new MediaStream([track]);
    this._voices.set(mid, voice);
  }

  /** Let the focus be heard, and nobody else: what the page plays does not wait for the server's word. */
  _play() {
    const heard = new Set(this._slots.filter((slot) => slot.kind === "audio" && slot.call_id !== null && slot.call_id === this._focus).map((slot) => slot.mid));
    for (const [mid, voice] of this._voices) {
      voice.muted = !(this._sound && heard.has(mid));
      if (!voice.muted && voice.paused) void voice.play().catch(() => this.emit("error", new VisitError("sound")));
    }
  }

  /** @param {unknown} error */
  _failed(error) {
    const failed = error instanceof VisitError ? error : new VisitError("media", "", { cause: error });
    for (const watch of [...this._watches.values()]) void watch.stop({ failed });
    void this.close();
  }
}

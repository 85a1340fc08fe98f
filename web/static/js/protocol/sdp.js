// The few things the page itself does with SDP: take ICE credentials out for an ICE restart and put the answered ones in.

/**
 * @typedef {object} IceCredentials
 * @property {string} ufrag
 * @property {string} pwd
 */

/**
 * @param {string} sdp a session description or fragment
 * @returns {IceCredentials | null} the first pair found (BUNDLE: all media share it)
 */
export function iceCredentials(sdp) {
  const ufrag = /^a=ice-ufrag:(\S+)\r?$/m.exec(sdp)?.[1];
  const pwd = /^a=ice-pwd:(\S+)\r?$/m.exec(sdp)?.[1];
  return ufrag && pwd ? { ufrag, pwd } : null;
}

/**
 * The fragment (RFC 8840 section 9) that a PATCH for an ICE restart carries (RFC 9725 section 4.3.3).
 * @param {string} offer the new local description
 * @returns {string}
 * @throws {TypeError} where the offer has no credentials or no media
 */
export function restartFragment(offer) {
  const credentials = iceCredentials(offer);
  const media = /^m=.*?(?=\r?$)/m.exec(offer)?.[0];
  const mid = /^a=mid:(\S+)\r?$/m.exec(offer)?.[1];
  if (!credentials || !media || mid === undefined) throw new TypeError("an offer without ICE credentials or media");
  const group = /^a=group:BUNDLE [^\r\n]*/m.exec(offer)?.[0];
  const candidates = offer.match(/^a=candidate:[^\r\n]*/gm) ?? [];
  const lines = [
    "a=ice-options:trickle ice2",
    ...(group ? [group] : []),
    media,
    `a=mid:${mid}`,
    `a=ice-ufrag:${credentials.ufrag}`,
    `a=ice-pwd:${credentials.pwd}`,
    ...candidates,
  ];
  return lines.join("\r\n") + "\r\n";
}

/**
 * The answer after an ICE restart: the answer before, with the credentials and candidates of the server's fragment.
 * @param {string} answer the remote description in force
 * @param {string} fragment the body of the PATCH's answer
 * @returns {string}
 * @throws {TypeError} where the fragment has no credentials
 */
export function restartedAnswer(answer, fragment) {
  const credentials = iceCredentials(fragment);
  if (!credentials) throw new TypeError("a restart fragment without ICE credentials");
  const candidates = fragment.match(/^a=(candidate:|end-of-candidates)[^\r\n]*/gm) ?? [];
  /** @type {string[]} */
  const lines = [];
  for (const line of answer.split(/\r?\n/)) {
    if (line.startsWith("a=ice-ufrag:")) lines.push(`a=ice-ufrag:${credentials.ufrag}`);
    else if (line.startsWith("a=ice-pwd:")) lines.push(`a=ice-pwd:${credentials.pwd}`, ...candidates);
    else if (candidates.length > 0 && /^a=(candidate:|end-of-candidates)/.test(line)) continue;
    else lines.push(line);
  }
  return lines.join("\r\n");
}

/**
 * An offer that lets lost voice be asked for again, in both directions. Browsers can do it (RFC 4585 NACK for Opus) but offer
 * it for pictures only; at 30 % loss it is what a voice is understood by, and what a recording is whole by.
 * @param {string} offer
 * @returns {string}
 */
export function withVoiceRepair(offer) {
  return offer.replace(/^a=rtpmap:(\d+) opus\/48000\/2(\r?\n)/gim, (line, type, end) =>
    offer.includes(`a=rtcp-fb:${type} nack`) ? line : `${line}a=rtcp-fb:${type} nack${end}`,
  );
}

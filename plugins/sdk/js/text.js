// Text and UTF-8. QuickJS has no coders of its own; its base64 functions are the fastest way from bytes to characters and back.

const wide = /[^\x00-\x7f]/;

/** The bytes as characters of the same number, which is the text if all of it is ASCII. */
export function latin1(bytes) {
  return atob(bytes.toBase64());
}

/** Whether characters and bytes are the same. */
export function isAscii(text) {
  return !wide.test(text);
}

/** The text of UTF-8. Throws `URIError` when it is none. */
export function decode(bytes) {
  const text = latin1(bytes);
  return isAscii(text) ? text : decodeURIComponent(escape(text));
}

/** The UTF-8 of a text; half a surrogate pair becomes U+FFFD. */
export function encode(text) {
  return Uint8Array.fromBase64(btoa(isAscii(text) ? text : unescape(encodeURIComponent(text.toWellFormed()))));
}

/** The text, with U+FFFD in place of each byte that is wrong. */
export function decodeLossily(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at];
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    try {
      text += decode(bytes.subarray(at, at + length));
      at += length;
    } catch {
      text += "\ufffd";
      at += 1;
    }
  }
  return text;
}

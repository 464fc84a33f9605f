// Converts between text and UTF-8. QuickJS has no TextDecoder; its base64 functions are the fastest conversion of bytes to characters.

const wide = /[^\x00-\x7f]/;

/** Returns the bytes as the characters U+0000 to U+00FF. ASCII bytes are the text. */
export function latin1(bytes) {
  return atob(bytes.toBase64());
}

/** Returns whether each character of the text is one byte in UTF-8. */
export function isAscii(text) {
  return !wide.test(text);
}

/** Returns whether each byte is ASCII. A loop over words takes a third of the time of a regular expression over the text. */
export function areAscii(bytes) {
  const { buffer, byteOffset, length } = bytes;
  let at = 0;
  let all = 0;
  if (byteOffset % 4 === 0) {
    const words = new Int32Array(buffer, byteOffset, length >> 2);
    const end = words.length - 15;
    let word = 0;
    // prettier-ignore
    while (word < end) {
      all |= words[word++] | words[word++] | words[word++] | words[word++] | words[word++] | words[word++] | words[word++] | words[word++]
        | words[word++] | words[word++] | words[word++] | words[word++] | words[word++] | words[word++] | words[word++] | words[word++];
    }
    at = word * 4;
  }
  while (at < length) all |= bytes[at++] * 0x01010101;
  return (all & 0x80808080) === 0;
}

/** Decodes UTF-8. Throws `URIError` if the bytes are not UTF-8. */
export function decode(bytes) {
  const text = latin1(bytes);
  return areAscii(bytes) ? text : decodeURIComponent(escape(text));
}

/** Encodes a text if it is ASCII, and returns `null` if it is not. */
export function encodeAscii(text) {
  try {
    const bytes = Uint8Array.fromBase64(btoa(text));
    return areAscii(bytes) ? bytes : null;
  } catch {
    return null;
  }
}

/** Encodes a text as UTF-8. An unpaired surrogate becomes U+FFFD (https://encoding.spec.whatwg.org/#utf-8-encoder). */
export function encode(text) {
  return Uint8Array.fromBase64(btoa(isAscii(text) ? text : unescape(encodeURIComponent(text.toWellFormed()))));
}

/** Decodes UTF-8, with U+FFFD in the place of each wrong byte. */
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

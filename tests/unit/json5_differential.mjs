// The same documents, thousands of them, to the JSON5 package of npm and to our own parser: what one accepts, the
// other accepts, with the same value. Arguments: the dump tool, the package's folder, a count and a seed.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";

const [tool, packageFolder, countText, seedText] = process.argv.slice(2);
const JSON5 = createRequire(import.meta.url)(packageFolder);
const count = Number(countText);
const seed = Number(seedText);

let state = seed >>> 0;
function random() {
	state = (state + 0x6d2b79f5) >>> 0;
	let mixed = Math.imul(state ^ (state >>> 15), state | 1);
	mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
	return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
}
const below = (limit) => Math.floor(random() * limit);
const pick = (list) => list[below(list.length)];
const repeat = (limit, make) => Array.from({ length: below(limit) }, make).join("");

const SPACES = [" ", "\t", "\n", "\r", "\r\n", "\v", "\f", "\u00a0", "\ufeff", "\u2028", "\u2029", "\u2003", "\u3000",
	"// c\n", "//\u00e9\u2028", "/* c */", "/***/", "/*\n*/"];
const space = () => (random() < 0.7 ? "" : repeat(3, () => pick(SPACES)));

const WHOLE = ["0", "1", "42", "9007199254740993", "123456789012345678901234567890", "7"];
function number() {
	const sign = pick(["", "", "", "-", "+"]);
	const digits = pick(WHOLE);
	const exponent = pick(["", "", "", "e5", "E-7", "e+300", "e400", "e-400"]);
	return sign + pick([digits + exponent, digits + "." + exponent, digits + ".25" + exponent, ".5" + exponent,
		"0xdeadBEEF", "0X0", "0x1fffffffffffff8", "Infinity", "NaN", String(random()), String(random() * 1e21)]);
}

const PIECES = ["a", "B", " ", "\t", "\u00e9", "\u4e2d", "\ud83d\ude00", "\u2028", "\\n", "\\'", '\\"', "\\\\", "\\/", "\\b",
	"\\v", "\\0", "\\x41", "\\xe9", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\u0000", "\\q", "\\\n", "\\\r\n",
	"\\\u2028", "\\\u00e9", "\u0001", "\u007f", "/*", "//"];
function string() {
	const quote = pick(["'", '"']);
	return quote + repeat(6, () => (random() < 0.1 ? (quote === '"' ? "'" : '"') : pick(PIECES))) + quote;
}

const NAMES = ["a", "b", "$", "_", "null", "true", "Infinity", "key1", "\u00e9t\u00e9", "\u03c0", "\u0436", "\u4e2d\u6587", "a\u0301",
	"a\u200cb", "a\u203f", "\\u0061b", "a\\u0031", "__proto__", "constructor", "\u00aa"];
const key = () => (random() < 0.6 ? pick(NAMES) : random() < 0.5 ? string() : `"${below(4)}"`);

function value(depth) {
	const roll = random();
	if (depth > 0 && roll < 0.25) return list("[", "]", () => value(depth - 1));
	if (depth > 0 && roll < 0.5) return list("{", "}", () => key() + space() + ":" + space() + value(depth - 1));
	return roll < 0.7 ? number() : roll < 0.9 ? string() : pick(["null", "true", "false"]);
}
function list(open, close, item) {
	const items = Array.from({ length: below(5) }, () => space() + item() + space());
	return open + items.join(",") + (items.length > 0 && random() < 0.3 ? "," : "") + space() + close;
}

const JUNK = [..."{}[]:,'\"\\/*+-.0123456789eExXuabfnrtINy $_\n\r\t", "\u201c", "\u00a0", "\u2028", "\u0000", "nul", "0x", "\\u", "\\x", "//", "/*"];
function mutate(text) {
	const characters = [...text];
	for (let i = 1 + below(3); i > 0; i--) {
		const at = below(characters.length + 1);
		characters.splice(at, below(3), ...(random() < 0.7 ? [pick(JUNK)] : []));
	}
	return characters.join("");
}

function document() {
	const whole = space() + value(4) + space();
	const roll = random();
	return roll < 0.5 ? whole : roll < 0.9 ? mutate(whole) : repeat(12, () => pick(JUNK));
}

// What JSON cannot say, as the dump tool says it; half characters are replaced.
function plain(parsed) {
	if (typeof parsed === "number")
		return Number.isFinite(parsed) && !Object.is(parsed, -0) ? parsed : "\u0000" + (Object.is(parsed, -0) ? "-0" : parsed);
	if (typeof parsed === "string") return parsed.toWellFormed();
	if (Array.isArray(parsed)) return parsed.map(plain);
	if (parsed === null || typeof parsed !== "object") return parsed;
	const result = {};
	for (const [name, member] of Object.entries(parsed))
		Object.defineProperty(result, name.toWellFormed(), { value: plain(member), enumerable: true, writable: true, configurable: true });
	return result;
}

console.warn = () => {};
const texts = Array.from({ length: count }, document);
const chunks = [];
for (const text of texts) {
	const bytes = Buffer.from(text);
	const header = Buffer.alloc(4);
	header.writeUInt32LE(bytes.length);
	chunks.push(header, bytes);
}
const run = spawnSync(tool, { input: Buffer.concat(chunks), maxBuffer: 1 << 30 });
const lines = run.stdout.toString().split("\n");
// One difference is meant: in an unquoted key we take any character beyond ASCII that is no space and no general
// punctuation, where JSON5 asks Unicode's tables whether it is a letter.
const LENIENT = /invalid identifier character|invalid character '[^\0-\x7f]/;
let accepted = 0;
let lenient = 0;
let differences = 0;
for (let i = 0; i < count; i++) {
	let wanted;
	let error = null;
	try {
		wanted = plain(JSON5.parse(Buffer.from(texts[i]).toString()));
	} catch (thrown) {
		error = thrown.message;
	}
	const line = lines[i] ?? "nothing";
	const seen = line.startsWith("ok ") ? JSON.parse(line.slice(3)) : undefined;
	accepted += error === null;
	if (error === null ? line.startsWith("ok ") && isDeepStrictEqual(seen, wanted) : line.startsWith("bad ")) continue;
	if (error !== null && LENIENT.test(error) && line.startsWith("ok ")) {
		lenient++;
		continue;
	}
	if (++differences <= 10)
		console.log(`# document ${JSON.stringify(texts[i])}\n#   json5: ${error ?? JSON.stringify(wanted)}\n#   ours:  ${line}`);
}
console.log(`# ${count} documents, ${accepted} of them valid, ${lenient} with a key that only we take, seed ${seed}`);
const passed = differences === 0 && run.status === 0 && accepted > count / 4 && accepted < count * 0.9 && lenient < count / 500;
console.log(`1..1\n${passed ? "ok" : "not ok"} 1 - our parser and npm's json5 agree on every document`);
process.exit(passed ? 0 : 1);

// Preloaded into a Node gateway (NODE_OPTIONS=--require): blocks its event loop when told to, or does other harm.
//
// TEST_BLOCK names a directory. The file `order` there is one order, JSON: {"way": ..., "seconds": ..., "phaseMs": ...,
// "object": ...}. It is carried out in the process that was last asked for /healthz, `phaseMs` after that question (at
// once without it). Right before, the file `began` is written, {"at": ..., "phaseMs": ...} in ms; after it, `ended`.
// Without `seconds` a block lasts for ever.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const directory = process.env.TEST_BLOCK;
const POLL_MS = 20;
const MISSED_MS = 200;
const EVER_MS = 1e12;

function spin(order) {
	const end = Date.now() + (order.seconds === undefined ? EVER_MS : order.seconds * 1000);
	while (Date.now() < end);
}

function match() {
	return /^(\w+\s?)*$/.test(`${'catastrophic'.repeat(9)}!`);
}

function runChild(order) {
	require('node:child_process').execSync(`sleep ${order.seconds === undefined ? 600 : order.seconds}`);
}

function readFifo(order) {
	fs.readFileSync(order.object);
}

function lockDatabase(order) {
	const { DatabaseSync } = require('node:sqlite');
	const timeout = order.seconds === undefined ? 2000000000 : order.seconds * 1000;
	const database = new DatabaseSync(order.object, { timeout });
	try {
		database.exec('BEGIN EXCLUSIVE');
	} catch (error) {
		if (!/locked/.test(error.message)) throw error;
	}
	database.close();
}

// These leave the loop alone.

function burn(order) {
	const { Worker } = require('node:worker_threads');
	const worker = new Worker('for (;;);', { eval: true });
	setTimeout(() => worker.terminate(), order.seconds * 1000);
}

function burnChild(order) {
	const child = require('node:child_process').spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' });
	setTimeout(() => child.kill('SIGKILL'), order.seconds * 1000);
}

function flood(order) {
	const end = Date.now() + order.seconds * 1000;
	const lines = `${'x'.repeat(127)}\n`.repeat(8192);
	const bytesPerTurn = 10e6;
	const turn = () => {
		for (let written = 0; written < bytesPerTurn; written += lines.length) process.stdout.write(lines);
		if (Date.now() < end) setTimeout(turn, 1000 * bytesPerTurn / 200e6);
	};
	turn();
}

const ways = { spin, match, runChild, readFifo, lockDatabase, burn, burnChild, flood };

let probed = 0;

function carryOut(order) {
	const at = Date.now();
	fs.writeFileSync(path.join(directory, 'began.new'), JSON.stringify({ at, phaseMs: at - probed }));
	fs.renameSync(path.join(directory, 'began.new'), path.join(directory, 'began'));
	ways[order.way](order);
	fs.writeFileSync(path.join(directory, 'ended'), String(Date.now()));
}

function look() {
	let order;
	const file = path.join(directory, 'order');
	try {
		order = JSON.parse(fs.readFileSync(file, 'utf8'));
	} catch {
		return;
	}
	const late = order.phaseMs === undefined ? 0 : Date.now() - probed - order.phaseMs;
	if (late < 0 || late > MISSED_MS) return; // the next question comes
	fs.unlinkSync(file);
	carryOut(order);
}

function noteQuestion(request) {
	if (request.url !== '/healthz') return;
	if (probed === 0) setInterval(look, POLL_MS).unref();
	probed = Date.now();
}

if (directory && require('node:worker_threads').isMainThread) {
	const { Server } = require('node:http');
	const emit = Server.prototype.emit;
	Server.prototype.emit = function (type, request, ...rest) {
		if (type === 'request') noteQuestion(request);
		return emit.call(this, type, request, ...rest);
	};
	// A start that takes its time.
	const start = Number(process.env.TEST_START_S || 0);
	if (start > 0 && /openclaw\.mjs$/.test(process.argv[1] || ''))
		Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, start * 1000);
}

// A consumer in Node: amqplib for the broker, the published JSON schemas, a journal for memory.
//
// It shares no code with Simpul's kit and passes `simpul-agency conform`. Everything that a message changes, its
// replies included, is one line of the journal, on the disk before the message is acknowledged.

import {createHash, createPrivateKey, createPublicKey, randomUUID, sign, verify} from 'node:crypto';
import {closeSync, existsSync, fsyncSync, openSync, readFileSync, readdirSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as wait} from 'node:timers/promises';
import {CipherSuite, HkdfSha256, Aes256Gcm} from '@hpke/core';
import {DhkemX25519HkdfSha256} from '@hpke/dhkem-x25519';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import amqp from 'amqplib';

const env = (name, fallback) => process.env[`SIMPUL_AGENCY_${name}`] ?? fallback;
const CITY = env('CITY'), CODE = env('CODE');
const ASK_AFTER = Number(env('ASK_AFTER', '5')) * 1000;
const MAX_BYTES = 256 * 1024, AGAIN = 60_000;
const STREAM = randomUUID();
const HEADER = 'simpul-signature', DOMAIN = Buffer.from('simpul-event-v1\n');

const suite = new CipherSuite({kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm()});
const bytes = text => Buffer.from(text, 'base64url');
const sha256 = body => createHash('sha256').update(body).digest('hex');

class Unusable extends Error {}

// Keys: raw bytes on file, wrapped for node:crypto in the ASN.1 that RFC 8410 gives them.
const own = JSON.parse(readFileSync(env('KEY_FILE')));
const directory = new Map(JSON.parse(readFileSync(env('DIRECTORY_FILE'))).keys.map(key => [key.keyid, key]));
const signingKey = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), bytes(own.signing)]),
  format: 'der', type: 'pkcs8',
});
const verifyingKey = raw => createPublicKey({
  key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]), format: 'der', type: 'spki',
});

const ajv = new Ajv({strict: false});
addFormats(ajv);
const schemas = new Map(readdirSync(env('SCHEMA_DIR')).filter(name => name.startsWith('referral.'))
  .map(name => [name.replace(/\.json$/, ''), ajv.compile(JSON.parse(readFileSync(join(env('SCHEMA_DIR'), name))))]));

function signerOf(body, header) {
  if (!header) throw new Unusable('unsigned');
  const [, keyid, signature] = /^v1 ([!-~]+) ([\w-]{86})$/.exec(header) ?? [];
  if (!keyid) throw new Unusable('forged');
  const key = directory.get(keyid), now = Date.now();
  if (!key || now < Date.parse(key.not_before) || now >= Date.parse(key.not_after)) throw new Unusable('unknown_key');
  const isGenuine = verify(null, Buffer.concat([DOMAIN, body]), verifyingKey(bytes(key.signing)), bytes(signature));
  if (!isGenuine) throw new Unusable('forged');
  return key.party;
}

async function open(event) {
  const section = event.data.sealed?.facts;
  if (!section) return null;
  const info = Buffer.from(`simpul/1|${event.id}|${event.correlationid}|facts`);
  const sealed = bytes(section.ciphertext);
  for (const ring of [own, ...(own.older ?? [])]) {
    try {
      const recipientKey = await suite.kem.importKey('raw', bytes(ring.sealing), false);
      const recipient = await suite.createRecipientContext({recipientKey, enc: sealed.subarray(0, 32), info});
      return JSON.parse(Buffer.from(await recipient.open(sealed.subarray(32))));
    } catch { /* sealed to another key: try the next */ }
  }
  throw new Unusable('cannot_open');
}

async function read(body, header) {
  if (body.length > MAX_BYTES) throw new Unusable('too_large');
  // Nothing is parsed before it is known who wrote it.
  const signer = signerOf(body, header);
  let event;
  try {
    event = JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(body));
  } catch {
    throw new Unusable('malformed');
  }
  if (event === null || typeof event !== 'object' || typeof event.type !== 'string') throw new Unusable('malformed');
  if (event.source !== `/${CITY}/${signer}`) throw new Unusable('forged');
  if (signer !== 'routing') throw new Unusable('unauthorized_publisher');
  const isValid = schemas.get(event.type);
  if (!isValid) throw new Unusable('unknown_type');
  if (!isValid(event)) throw new Unusable('invalid');
  if (event.data.agency !== CODE) throw new Unusable('for_another_agency');
  await open(event);
  return event;
}

// What is known, made again from the journal at every start.
const events = new Map(), done = new Set(), waiting = new Map(), streams = new Map(), aside = new Set();
const account = new Map(), unsent = [], asked = new Map();
const city = {sequence: 0, last: 0, quietUntil: Infinity};
let said = 0, toSay = () => {};

const place = event => `${event.subject} ${Number(event.sequence)}`;
const isReady = event => Number(event.sequence) === 1 || done.has(`${event.subject} ${Number(event.sequence) - 1}`);

function apply(line) {
  if (line.event) {
    events.set(line.event.id, line.digest);
    waiting.set(place(line.event), {event: line.event, at: line.at});
  }
  for (const name of line.done ?? []) {
    done.add(name);
    waiting.delete(name);
  }
  if (line.aside) aside.add(line.aside);
  if (line.account) {
    for (const one of line.account.events) account.set(one.number, one);
    city.last = Math.max(city.last, line.account.last);
    // An account that was overheard and comes again is no sign of life.
    if (line.account.sequence > city.sequence) {
      Object.assign(city, {sequence: line.account.sequence, quietUntil: line.account.quietUntil});
    }
  }
  for (const reply of line.says ?? []) {
    streams.set(reply.subject, reply.place);
    unsent.push(reply);
  }
  said += line.sent ?? 0;
}

const path = env('STORE_URL').replace(/^sqlite:\/\/\//, '') + '.journal';
if (existsSync(path)) {
  // The last line may be half a line, if the power went: it was never acknowledged either.
  for (const text of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
    try {
      apply(JSON.parse(text));
    } catch { /* half a line */ }
  }
}
unsent.splice(0, said);
const journal = openSync(path, 'a', 0o600);
function write(line) {
  apply(line);
  writeSync(journal, '\n' + JSON.stringify(line));
  fsyncSync(journal);
}

function speech(says, wireName, subject, caseId, data, cause) {
  const number = Math.max(streams.get(subject) ?? 0, ...says.filter(r => r.subject === subject).map(r => r.place)) + 1;
  const event = {
    specversion: '1.0', id: randomUUID(), source: `/${CITY}/agency/${CODE}`, type: wireName, subject,
    time: new Date().toISOString(), datacontenttype: 'application/json', sequence: String(number).padStart(10, '0'),
    correlationid: caseId, data: {...data, sealed: {}}, ...(cause && {causationid: cause}),
  };
  const body = JSON.stringify(event);
  const signature = sign(null, Buffer.concat([DOMAIN, Buffer.from(body)]), signingKey).toString('base64url');
  const key = `reply.${CODE}.${wireName.replace(/^reply\.(referral\.)?/, '')}`;
  says.push({subject, place: number, key, body, header: `v1 ${own.keyid} ${signature}`});
}

// The agency's own work; here every offer is taken.
function handle(event, says) {
  const replies = {
    'referral.offered.v1': ['reply.referral.delivered.v1', 'reply.referral.accepted.v1'],
    'referral.consent_withdrawn.v1': ['reply.withdrawal.acknowledged.v1'],
  };
  for (const wireName of replies[event.type] ?? []) {
    const data = {referral_id: event.data.referral_id, agency: CODE};
    speech(says, wireName, event.subject, event.correlationid, data, event.id);
  }
}

async function take(body, header) {
  const digest = sha256(body);
  let event;
  try {
    event = await read(body, header);
    const known = events.get(event.id);
    if (known && known !== digest) throw new Unusable('id_reused');
    if (known) return;
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    if (aside.has(digest)) return;
    const says = [];
    const data = {agency: CODE, reason: error.message, digest};
    speech(says, 'reply.message.parked.v1', `agency/${CODE}`, STREAM, data);
    write({aside: digest, body: body.toString('base64'), header, says});
    return;
  }
  if (event.type === 'referral.heartbeat.v1') {
    const {last_number: last, events: listed, next_by: nextBy} = event.data;
    const quietUntil = Date.now() + Date.parse(nextBy) - Date.parse(event.time);
    write({account: {sequence: Number(event.sequence), last, events: listed, quietUntil}});
    return;
  }
  const line = {event, digest, at: Date.now(), done: [], says: []};
  // Those of the same referral that waited for this one follow it.
  for (let next = event; next && (isReady(next) || line.done.includes(place({...next, sequence: next.sequence - 1})));) {
    handle(next, line.says);
    line.done.push(place(next));
    next = waiting.get(place({...next, sequence: Number(next.sequence) + 1}))?.event;
  }
  write(line);
}

function missing() {
  const found = [], now = Date.now(), absent = [];
  for (let number = 1; number <= city.last; number += 1) {
    const one = account.get(number);
    if (!one || !(one.is_withheld || events.has(one.event_id))) absent.push(number);
  }
  if (absent.length) found.push([`from ${absent[0]}`, {first_number: absent[0], last_number: absent.at(-1)}]);
  if (now > city.quietUntil) found.push([`silence ${city.quietUntil}`, {first_number: city.last + 1}]);
  for (const [name, {event, at}] of waiting) {
    const until = Date.parse(event.time) + 60_000;
    const window = {since: new Date(until - 7 * 86_400_000).toISOString(), until: new Date(until).toISOString()};
    if (now - at > ASK_AFTER) found.push([`before ${name}`, window]);
  }
  return found;
}

function ask() {
  const says = [];
  for (const [name, window] of missing()) {
    if (Date.now() - (asked.get(name) ?? 0) < AGAIN) continue;
    asked.set(name, Date.now());
    speech(says, 'reply.window.requested.v1', `agency/${CODE}`, STREAM, {agency: CODE, ...window});
  }
  if (says.length) write({says});
  toSay();
}

async function speak(channel, isOpen) {
  while (isOpen()) {
    const group = unsent.slice(0, 50);
    for (const reply of group) {
      channel.publish('simpul.replies', reply.key, Buffer.from(reply.body), {
        messageId: randomUUID(), contentType: 'application/cloudevents+json', persistent: true, mandatory: true,
        userId: `agency.${CODE}`, headers: {'simpul-exchange': 'simpul.replies', [HEADER]: reply.header},
      });
    }
    if (group.length) {
      await channel.waitForConfirms();
      unsent.splice(0, group.length);
      writeSync(journal, '\n' + JSON.stringify({sent: group.length}));
      continue;
    }
    await new Promise(resolve => { toSay = resolve; });
  }
}

async function session() {
  const connection = await amqp.connect(env('AMQP_URL'));
  let isOpen = true;
  const closed = new Promise(resolve => connection.once('close', resolve));
  connection.on('error', () => {});
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => {});
  await channel.prefetch(50);
  // One after the other: a message must not overtake another of its referral.
  let turn = Promise.resolve();
  await channel.consume(`agency.${CODE}.inbox`, message => {
    if (!message) return;
    turn = turn.then(async () => {
      if (!isOpen) return;
      await take(message.content, message.properties.headers?.[HEADER]);
      channel.ack(message);
      toSay();
    }).catch(error => {
      console.error(`failed: ${error.name}`);
      connection.close().catch(() => {});
    });
  });
  const speaking = speak(channel, () => isOpen).catch(() => connection.close().catch(() => {}));
  stop = async () => {
    isOpen = false;
    toSay();
    await turn;
    await speaking;
    await connection.close().catch(() => {});
    closeSync(journal);
    process.exit(0);
  };
  await closed;
  isOpen = false;
  toSay();
}

let stop = async () => process.exit(0);
process.on('SIGTERM', () => stop());
setInterval(ask, ASK_AFTER);
for (;;) {
  await session().catch(error => console.error(`broker away (${error.name}), trying again`));
  await wait(1000);
}

// A consumer in Node with amqplib, the published JSON schemas and a journal file.
//
// It shares no code with Simpul's kit and passes `simpul-agency conform`. Each message, with everything that it changes
// and its replies, is one line of the journal, which is on the disk before the message is acknowledged.

import {createHash, createPrivateKey, createPublicKey, randomUUID, sign, verify} from 'node:crypto';
import {closeSync, existsSync, fsyncSync, openSync, readFileSync, readdirSync, renameSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as wait} from 'node:timers/promises';
import {CipherSuite, HkdfSha256, Aes256Gcm} from '@hpke/core';
import {DhkemX25519HkdfSha256} from '@hpke/dhkem-x25519';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import amqp from 'amqplib';

const env = (name, fallback) => process.env[`SIMPUL_AGENCY_${name}`] ?? fallback;
const CITY = env('CITY'), CODE = env('CODE');
const GAP_TIMEOUT = Number(env('GAP_TIMEOUT', '5')) * 1000;
const MAX_BYTES = 256 * 1024, RETRY_DELAY = 60_000;
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
const schemas = new Map(readdirSync(env('SCHEMA_DIR')).filter(name => /^(referral|agency|dossier)\./.test(name))
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

// The sections that were sealed to this agency, such as the facts of an offer or a child's identity.
async function open(event) {
  const opened = {};
  for (const name of Object.keys(event.data.sealed ?? {})) opened[name] = await openSection(event, name);
  return opened;
}

async function openSection(event, name) {
  const info = Buffer.from(`simpul/1|${event.id}|${event.correlationid}|${name}`);
  const sealed = bytes(event.data.sealed[name].ciphertext);
  for (const ring of [own, ...(own.older ?? [])]) {
    try {
      const recipientKey = await suite.kem.importKey('raw', bytes(ring.sealing), false);
      const recipient = await suite.createRecipientContext({recipientKey, enc: sealed.subarray(0, 32), info});
      return JSON.parse(Buffer.from(await recipient.open(sealed.subarray(32))));
    } catch { /* sealed to another key: try the next one */ }
  }
  throw new Unusable('cannot_open');
}

async function readEvent(body, header) {
  if (body.length > MAX_BYTES) throw new Unusable('too_large');
  // Nothing is parsed before the signature is verified.
  const signer = signerOf(body, header);
  let event;
  try {
    event = JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(body));
  } catch {
    throw new Unusable('malformed');
  }
  if (event === null || typeof event !== 'object' || typeof event.type !== 'string') throw new Unusable('malformed');
  if (event.source !== `/${CITY}/${signer}`) throw new Unusable('forged');
  // Intake alone publishes dossiers, routing everything else.
  if (signer !== (event.type.startsWith('dossier.') ? 'intake' : 'routing')) throw new Unusable('unauthorized_publisher');
  const isValid = schemas.get(event.type);
  if (!isValid) throw new Unusable('unknown_type');
  if (!isValid(event)) throw new Unusable('invalid');
  if (event.data.agency !== CODE) throw new Unusable('for_another_agency');
  await open(event);
  return event;
}

// The state, which every start rebuilds from the journal.
const events = new Map(), done = new Set(), waiting = new Map(), streams = new Map(), parked = new Set();
const manifestEntries = new Map(), unsent = [], requested = new Map();
const city = {sequence: 0, last: 0, nextDueAt: Infinity};
let sentCount = 0, wakePublisher = () => {};

const positionOf = event => `${event.subject} ${Number(event.sequence)}`;
const isReady = event => Number(event.sequence) === 1 || done.has(`${event.subject} ${Number(event.sequence) - 1}`);

function apply(line) {
  if (line.event) {
    events.set(line.event.id, line.digest);
    waiting.set(positionOf(line.event), {event: line.event, at: line.at});
  }
  for (const name of line.done ?? []) {
    done.add(name);
    waiting.delete(name);
  }
  if (line.parked) parked.add(line.parked);
  if (line.manifest) {
    for (const one of line.manifest.events) manifestEntries.set(one.manifest_number, one);
    city.last = Math.max(city.last, line.manifest.last);
    // An old manifest that somebody sends again does not end the silence.
    if (line.manifest.sequence > city.sequence) {
      Object.assign(city, {sequence: line.manifest.sequence, nextDueAt: line.manifest.nextDueAt});
    }
  }
  for (const reply of line.replies ?? []) {
    streams.set(reply.subject, reply.sequence);
    unsent.push(reply);
  }
  sentCount += line.sent ?? 0;
}

const path = env('STORE_URL').replace(/^sqlite:\/\/\//, '') + '.journal';
if (existsSync(path)) {
  // After a power cut the last line may be incomplete; its message was not acknowledged.
  for (const text of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
    try {
      apply(JSON.parse(text));
    } catch { /* an incomplete line */ }
  }
}
unsent.splice(0, sentCount);
let journal = openSync(path, 'a', 0o600);
function write(line) {
  apply(line);
  writeSync(journal, '\n' + JSON.stringify(line));
  fsyncSync(journal);
}

// Deletes from earlier releases the sections that an event withdraws or replaces; sections stand sealed in the journal.
function deleteOutdated(event) {
  const names = event.data.sections.map(one => one.section ?? one);
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean).map(text => {
    if (!text.includes('"dossier.released.v1"')) return text;
    let line;
    try {
      line = JSON.parse(text);
    } catch {
      return text;
    }
    if (line.event?.subject !== event.subject || line.event.id === event.id) return text;
    for (const name of names) delete line.event.data.sealed[name];
    return JSON.stringify(line);
  });
  const rewritten = openSync(`${path}.new`, 'w', 0o600);
  writeSync(rewritten, '\n' + lines.join('\n'));
  fsyncSync(rewritten);
  closeSync(rewritten);
  renameSync(`${path}.new`, path);
  closeSync(journal);
  journal = openSync(path, 'a', 0o600);
}

function addReply(replies, wireName, subject, caseId, data, cause) {
  const number = Math.max(streams.get(subject) ?? 0, ...replies.filter(r => r.subject === subject).map(r => r.sequence)) + 1;
  const event = {
    specversion: '1.0', id: randomUUID(), source: `/${CITY}/agency/${CODE}`, type: wireName, subject,
    time: new Date().toISOString(), datacontenttype: 'application/json', sequence: String(number).padStart(10, '0'),
    correlationid: caseId, data: {...data, sealed: {}}, ...(cause && {causationid: cause}),
  };
  const body = JSON.stringify(event);
  const signature = sign(null, Buffer.concat([DOMAIN, Buffer.from(body)]), signingKey).toString('base64url');
  const key = `reply.${CODE}.${wireName.replace(/^reply\.(referral\.)?/, '')}`;
  replies.push({subject, sequence: number, key, body, header: `v1 ${own.keyid} ${signature}`});
}

// The services that an event asks for: all of an offer, and those that an amendment added.
function newServices(event) {
  if (!['referral.offered.v1', 'referral.amended.v1'].includes(event.type)) return [];
  const listed = event.data.services.map(one => one.service_id);
  return listed.filter(id => (event.data.added ?? listed).includes(id));
}

// The agency's own work; here it accepts every service.
function handle(event, replies) {
  const reply = (wireName, details) => {
    const data = {referral_id: event.data.referral_id, agency: CODE, ...details};
    addReply(replies, wireName, event.subject, event.correlationid, data, event.id);
  };
  const services = newServices(event);
  if (services.length) {
    reply('reply.referral.delivered.v1');
    reply('reply.referral.accepted.v1', {service_ids: services});
  }
  if (event.type === 'referral.consent_withdrawn.v1') reply('reply.withdrawal.acknowledged.v1');
  if (event.type.startsWith('dossier.')) deleteOutdated(event);
  if (event.type === 'dossier.withdrawn.v1') {
    reply('reply.dossier.deleted.v1', {withdrawal_id: event.data.withdrawal_id});
  }
}

async function receive(body, header) {
  const digest = sha256(body);
  let event;
  try {
    event = await readEvent(body, header);
    const known = events.get(event.id);
    if (known && known !== digest) throw new Unusable('id_reused');
    if (known) return;
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    if (parked.has(digest)) return;
    const replies = [];
    const data = {agency: CODE, reason: error.message, digest};
    addReply(replies, 'reply.message.parked.v1', `agency/${CODE}`, STREAM, data);
    write({parked: digest, body: body.toString('base64'), header, replies});
    return;
  }
  if (event.type === 'agency.manifest.v1') {
    const {last_manifest_number: last, events: listed, next_by: nextBy} = event.data;
    const nextDueAt = Date.now() + Date.parse(nextBy) - Date.parse(event.time);
    write({manifest: {sequence: Number(event.sequence), last, events: listed, nextDueAt}});
    return;
  }
  const line = {event, digest, at: Date.now(), done: [], replies: []};
  // Events of the same referral that waited for this one are handled after it.
  for (let next = event; next && (isReady(next) || line.done.includes(positionOf({...next, sequence: next.sequence - 1})));) {
    handle(next, line.replies);
    line.done.push(positionOf(next));
    next = waiting.get(positionOf({...next, sequence: Number(next.sequence) + 1}))?.event;
  }
  write(line);
}

function findMissing() {
  const found = [], now = Date.now(), absent = [];
  for (let number = 1; number <= city.last; number += 1) {
    const one = manifestEntries.get(number);
    if (!one || !(one.is_withheld || events.has(one.event_id))) absent.push(number);
  }
  if (absent.length) found.push([`from ${absent[0]}`, {first_manifest_number: absent[0], last_manifest_number: absent.at(-1)}]);
  if (now > city.nextDueAt) found.push([`silence ${city.nextDueAt}`, {first_manifest_number: city.last + 1}]);
  for (const [name, {event, at}] of waiting) {
    const until = Date.parse(event.time) + 60_000;
    const missing = {since: new Date(until - 7 * 86_400_000).toISOString(), until: new Date(until).toISOString()};
    if (now - at > GAP_TIMEOUT) found.push([`before ${name}`, missing]);
  }
  return found;
}

function requestMissing() {
  const replies = [];
  for (const [key, missing] of findMissing()) {
    if (Date.now() - (requested.get(key) ?? 0) < RETRY_DELAY) continue;
    requested.set(key, Date.now());
    addReply(replies, 'reply.resend.requested.v1', `agency/${CODE}`, STREAM, {agency: CODE, ...missing});
  }
  if (replies.length) write({replies});
  wakePublisher();
}

async function publishReplies(channel, isOpen) {
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
    await new Promise(resolve => { wakePublisher = resolve; });
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
  // One after another, so that no message overtakes another of its referral.
  let turn = Promise.resolve();
  await channel.consume(`agency.${CODE}.inbox`, message => {
    if (!message) return;
    turn = turn.then(async () => {
      if (!isOpen) return;
      await receive(message.content, message.properties.headers?.[HEADER]);
      channel.ack(message);
      wakePublisher();
    }).catch(error => {
      console.error(`failed: ${error.name}`);
      connection.close().catch(() => {});
    });
  });
  const publishing = publishReplies(channel, () => isOpen).catch(() => connection.close().catch(() => {}));
  stop = async () => {
    isOpen = false;
    wakePublisher();
    await turn;
    await publishing;
    await connection.close().catch(() => {});
    closeSync(journal);
    process.exit(0);
  };
  await closed;
  isOpen = false;
  wakePublisher();
}

let stop = async () => process.exit(0);
process.on('SIGTERM', () => stop());
setInterval(requestMissing, GAP_TIMEOUT);
for (;;) {
  await session().catch(error => console.error(`no connection to the broker (${error.name}), trying again`));
  await wait(1000);
}

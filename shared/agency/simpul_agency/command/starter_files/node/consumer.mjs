// Receives an agency's referrals: simpul-agency connects to the city and posts each event here (node consumer.mjs).
import {spawn} from 'node:child_process';
import {createHmac, randomBytes, timingSafeEqual} from 'node:crypto';
import {createServer} from 'node:http';

const secret = randomBytes(24);

function isGenuine(headers, body) {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const expected = Buffer.from('v1,' + createHmac('sha256', secret).update(signed).digest('base64'));
  const given = Buffer.from(headers['webhook-signature'] ?? '');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

// The services of an offer or amendment replace those of before; the others of a referral continue.
const NOTES = {offered: 'has', amended: 'has', cancelled: 'stop:', revoked: 'stop:', rerouted: 'stop:',
  reminded: 'due', overdue: 'due', escalated: 'due', consent_withdrawn: 'consent withdrawn, delete:'};

function receive({type, data}) {
  const what = type.split('.')[1], services = Array.isArray(data.services) ? data.services : [];
  const fresh = services.filter(one => (data.added ?? [one.service_id]).includes(one.service_id));
  console.log(type, data.referral_id, NOTES[what] ?? '', data.due_at ?? '', ...services.map(one => one.service));
  if (what === 'consent_withdrawn') return {reply: 'withdrawal_acknowledged'};
  if (!['offered', 'amended'].includes(what) || !fresh.length) return {};
  console.log('  new:', ...fresh.map(one => one.service));
  return {reply: 'accepted', service_ids: fresh.map(one => one.service_id)};  // All that is new, or some.
}

const server = createServer(async (request, response) => {
  let body = '';
  for await (const part of request) body += part;
  if (!isGenuine(request.headers, body)) return response.writeHead(401).end();
  const answer = receive(JSON.parse(body));
  response.writeHead(200, {'Content-Type': 'application/json'}).end(answer.reply ? JSON.stringify(answer) : '');
});

server.listen(0, '127.0.0.1', () => {
  const settings = {
    SIMPUL_AGENCY_WEBHOOK_URL: `http://127.0.0.1:${server.address().port}/`,
    SIMPUL_AGENCY_WEBHOOK_SECRET: 'whsec_' + secret.toString('base64'),
  };
  const kit = spawn('simpul-agency', ['run'], {env: {...process.env, ...settings}, stdio: 'inherit'});
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => kit.kill('SIGTERM'));
  kit.on('exit', code => process.exit(code ?? 1));
});

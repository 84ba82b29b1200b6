// Receives an agency's referrals: simpul-agency speaks with the city, this answers it (node consumer.mjs).
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

function receive(event) {
  console.log(event.type, event.data.referral_id, event.data.service ?? '', event.data.urgency ?? '');
  if (event.type === 'referral.consent_withdrawn.v1') return {reply: 'withdrawal_acknowledged'};
  return event.type === 'referral.offered.v1' ? {reply: 'accepted'} : {};
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

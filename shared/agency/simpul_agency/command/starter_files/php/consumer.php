<?php
// Receives an agency's referrals: simpul-agency speaks with the city and starts this for each event.
//   SIMPUL_AGENCY_PROGRAM="php consumer.php" simpul-agency run

$event = json_decode(stream_get_contents(STDIN), true, 64, JSON_THROW_ON_ERROR);
$data = $event['data'];

// Here it would go into the agency's own system. An exit code other than 0 has it started again later.
fwrite(STDERR, "{$event['type']} {$data['referral_id']} " . ($data['service'] ?? '') . "\n");

if ($event['type'] === 'referral.consent_withdrawn.v1') {
    echo json_encode(['reply' => 'withdrawal_acknowledged']);
}
if ($event['type'] === 'referral.offered.v1') {
    echo json_encode(['reply' => 'accepted']);
}

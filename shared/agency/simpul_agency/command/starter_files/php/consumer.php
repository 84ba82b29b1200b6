<?php
// Receives an agency's referrals: simpul-agency connects to the city and starts this program for each event.
//   SIMPUL_AGENCY_PROGRAM="php consumer.php" simpul-agency run

$event = json_decode(stream_get_contents(STDIN), true, 64, JSON_THROW_ON_ERROR);
$data = $event['data'];
$services = array_is_list($data['services'] ?? []) ? $data['services'] ?? [] : [];

// Store it in your own system here. With an exit code other than 0 this program is started again later.
function show(string $what, array $services): void {
    global $event, $data;
    fwrite(STDERR, "{$event['type']} {$data['referral_id']} $what " . implode(' ', array_column($services, 'service')) . "\n");
}

switch (explode('.', $event['type'])[1]) {
    case 'offered': case 'amended': // The services replace those of before.
        $new = array_values(array_filter($services, fn($one) => in_array($one['service_id'], $data['added'] ?? [$one['service_id']], true)));
        show('new:', $new);
        // Accepts all that is new; or only some.
        if ($new) echo json_encode(['reply' => 'accepted', 'service_ids' => array_column($new, 'service_id')]);
        break;
    case 'cancelled': case 'revoked': case 'rerouted': // Another agency may have them now; the others continue.
        show('stop:', $services);
        break;
    case 'reminded': case 'overdue': case 'escalated': // The city waits for these services: alert your staff.
        show("due {$data['due_at']}", $services);
        break;
    case 'consent_withdrawn': // Delete what you hold for these services first.
        show('consent withdrawn:', $services);
        echo json_encode(['reply' => 'withdrawal_acknowledged']);
}

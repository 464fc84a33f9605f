package peers;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;

/** A reduced visit, or the envelope of a dead letter. */
record Verdict(boolean isReduced, byte[] value) {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSSSS").withZone(ZoneOffset.UTC);

    static Verdict of(byte[] visit) {
        try {
            return new Verdict(true, reduce(visit));
        } catch (IOException | IllegalArgumentException | DateTimeParseException failure) {
            return new Verdict(false, envelope(visit, failure.getMessage()));
        }
    }

    private static byte[] reduce(byte[] value) throws IOException {
        JsonNode visit = JSON.readTree(value);
        JsonNode time = field(visit, "event_time");
        if (!time.isTextual()) {
            throw new IllegalArgumentException("event_time is not text");
        }
        var reduced = JSON.createObjectNode();
        reduced.set("visit_id", field(visit, "visit_id"));
        reduced.put("event_time", OffsetDateTime.parse(time.textValue()).toEpochSecond());
        reduced.set("page", field(visit, "page"));
        return JSON.writeValueAsBytes(reduced);
    }

    private static JsonNode field(JsonNode visit, String name) {
        JsonNode field = visit.get(name);
        if (field == null) {
            throw new IllegalArgumentException("missing field " + name);
        }
        return field;
    }

    private static byte[] envelope(byte[] visit, String message) {
        var envelope = JSON.createObjectNode();
        envelope.put("processing_time", TIME.format(Instant.now()));
        envelope.put("input_json", new String(visit, StandardCharsets.UTF_8));
        envelope.put("error_message", message);
        try {
            return JSON.writeValueAsBytes(envelope);
        } catch (JsonProcessingException impossible) {
            throw new IllegalStateException("texts are always JSON", impossible);
        }
    }
}

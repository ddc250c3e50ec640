package router;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.azure.communication.common.implementation.CommunicationConnectionString;
import com.azure.communication.common.implementation.HmacAuthenticationPolicy;
import com.azure.core.credential.AzureKeyCredential;
import com.azure.core.http.HttpHeaderName;
import com.azure.core.http.HttpMethod;
import com.azure.core.http.HttpPipeline;
import com.azure.core.http.HttpPipelineBuilder;
import com.azure.core.http.HttpRequest;
import com.azure.core.http.HttpResponse;
import com.azure.core.util.serializer.JacksonAdapter;
import com.azure.core.util.serializer.SerializerEncoding;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/** What the Java client sends, signed by its own policy: from a connection string over https, and with endpoint and key. */
class WireTest {
    private static final String VERSION = "api-version=2023-11-01";
    private static final String RUN = "java-" + UUID.randomUUID();

    private final String endpoint;
    private final HttpPipeline pipeline;

    WireTest() {
        String text = System.getenv("ROUTER_CONNECTION_STRING");
        String key;
        if (text != null) {
            CommunicationConnectionString given = new CommunicationConnectionString(text);
            endpoint = strip(given.getEndpoint());
            key = given.getAccessKey();
        } else {
            endpoint = strip(System.getenv("ROUTER_ENDPOINT"));
            key = System.getenv("ROUTER_ACCESS_KEY");
        }
        pipeline = new HttpPipelineBuilder().policies(new HmacAuthenticationPolicy(new AzureKeyCredential(key))).build();
    }

    private static String strip(String url) {
        return url.endsWith("/") ? url.substring(0, url.length() - 1) : url;
    }

    private static String id(String name) {
        return RUN + "-" + name + "-" + UUID.randomUUID();
    }

    private HttpResponse send(HttpMethod method, String path, String body) {
        String url = endpoint + path + (path.contains("?") ? "&" : "?") + VERSION;
        HttpRequest request = new HttpRequest(method, url);
        if (body != null) {
            request.setBody(body);
            request.setHeader(
                HttpHeaderName.CONTENT_TYPE,
                method == HttpMethod.PATCH ? "application/merge-patch+json" : "application/json");
        }
        return pipeline.send(request).block();
    }

    @SuppressWarnings("unchecked")
    private Map<String, Object> ok(int status, HttpMethod method, String path, String body) throws Exception {
        HttpResponse answer = send(method, path, body);
        String text = answer.getBodyAsString().block();
        assertEquals(status, answer.getStatusCode(), text);
        if (text == null || text.isEmpty()) {
            return Map.of();
        }
        assertEquals("application/json; charset=utf-8", answer.getHeaderValue(HttpHeaderName.CONTENT_TYPE));
        Map<String, Object> found =
            JacksonAdapter.createDefaultSerializerAdapter().deserialize(text, Map.class, SerializerEncoding.JSON);
        if (found.containsKey("etag")) {
            assertEquals(answer.getHeaderValue(HttpHeaderName.ETAG), found.get("etag"), "the client compares them");
        }
        return found;
    }

    private String queue() throws Exception {
        String policy = id("policy");
        String queue = id("queue");
        ok(201, HttpMethod.PATCH, "/routing/distributionPolicies/" + policy, "{\"mode\":{\"kind\":\"longestIdle\"}}");
        ok(201, HttpMethod.PATCH, "/routing/queues/" + queue, "{\"distributionPolicyId\":\"" + policy + "\"}");
        return queue;
    }

    @Test
    @SuppressWarnings("unchecked")
    void aJobFromSubmissionToItsEnd() throws Exception {
        String queue = queue();
        String worker = "/routing/workers/" + id("worker");
        String job = "/routing/jobs/" + id("job");
        String channels = "[{\"channelId\":\"v\",\"capacityCostPerJob\":1}]";
        ok(201, HttpMethod.PATCH, worker,
            "{\"capacity\":1,\"queues\":[\"" + queue + "\"],\"channels\":" + channels + ",\"availableForOffers\":true}");
        ok(201, HttpMethod.PATCH, job, "{\"channelId\":\"v\",\"queueId\":\"" + queue + "\"}");
        List<Map<String, Object>> offers = List.of();
        for (long end = System.nanoTime() + 15_000_000_000L; offers.isEmpty() && System.nanoTime() < end; ) {
            offers = (List<Map<String, Object>>) ok(200, HttpMethod.GET, worker, null).get("offers");
        }
        Object offer = offers.get(0).get("offerId");
        Object assignment = ok(200, HttpMethod.POST, worker + "/offers/" + offer + ":accept", null).get("assignmentId");
        String path = job + "/assignments/" + assignment;
        assertEquals(Map.of(), ok(200, HttpMethod.POST, path + ":complete", "{}"));
        assertEquals(Map.of(), ok(200, HttpMethod.POST, path + ":close", "{\"note\":\"n\"}"));
        assertEquals("closed", ok(200, HttpMethod.GET, job, null).get("status"));
        ok(204, HttpMethod.DELETE, job, null);
        ok(204, HttpMethod.DELETE, worker, null);
    }

    @Test
    @SuppressWarnings("unchecked")
    void pagesByNextLink() throws Exception {
        String queue = queue();
        List<String> made = new ArrayList<>();
        for (int number = 0; number < 5; number++) {
            String job = id("job");
            made.add(0, job);
            ok(201, HttpMethod.PATCH, "/routing/jobs/" + job,
                "{\"channelId\":\"v\",\"queueId\":\"" + queue + "\",\"matchingMode\":{\"kind\":\"suspend\"}}");
        }
        List<Object> seen = new ArrayList<>();
        String link = "/routing/jobs?maxpagesize=2&queueId=" + queue;
        while (link != null) {
            Map<String, Object> page = ok(200, HttpMethod.GET, link, null);
            ((List<Map<String, Object>>) page.get("value")).forEach(job -> seen.add(job.get("id")));
            link = (String) page.get("nextLink");
        }
        assertEquals(made, seen, "newest first");
    }

    @Test
    @SuppressWarnings("unchecked")
    void errorsUnderBothNames() throws Exception {
        String path = "/routing/jobs/" + id("none");
        Map<String, Object> refused = ok(404, HttpMethod.GET, path, null);
        Map<String, Object> error = (Map<String, Object>) refused.get("error");
        assertEquals("NotFound", error.get("code"));
        assertEquals(path, error.get("target"));
        assertEquals(error, refused.get("communicationError"));
    }

    @Test
    void idsThatHaveToBeEncoded() throws Exception {
        String name = id("ünï cödé/:&=+%");
        String path = "/routing/classificationPolicies/" + URLEncoder.encode(name, StandardCharsets.UTF_8).replace("+", "%20");
        Map<String, Object> made = ok(201, HttpMethod.PATCH, path, "{\"name\":\"ñ\"}");
        assertEquals(name, made.get("id"));
        assertEquals(made, ok(200, HttpMethod.GET, path, null));
        ok(204, HttpMethod.DELETE, path, null);
    }

    @Test
    void anotherKeyIsRefused() {
        HttpPipeline wrong = new HttpPipelineBuilder()
            .policies(new HmacAuthenticationPolicy(new AzureKeyCredential("d3JvbmcgYWNjZXNzIGtleSwgYnV0IGxvbmc=")))
            .build();
        HttpResponse answer = wrong.send(new HttpRequest(HttpMethod.GET, endpoint + "/routing/jobs?" + VERSION)).block();
        assertEquals(401, answer.getStatusCode());
        assertTrue(answer.getBodyAsString().block().contains("SignatureMismatch"));
        assertNull(answer.getHeaderValue(HttpHeaderName.ETAG));
    }
}

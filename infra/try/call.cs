// Call Azure OpenAI through the gateway: dotnet run call.cs -- [--stream] [--completions] [text]
// Reads GATEWAY_URL, DEPLOYMENT, and API_KEY, or without a key TOKEN, from the environment; see call.sh.
// TOKEN comes from: az account get-access-token --resource api://azure-openai-gateway --query accessToken -o tsv
using System;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Text;
using System.Threading.Tasks;

public static class Program
{
    static string Setting(string name, string otherwise = null)
    {
        return Environment.GetEnvironmentVariable(name) ?? otherwise ?? throw new Exception("set " + name);
    }

    public static int Main(string[] arguments)
    {
        return Call(arguments).GetAwaiter().GetResult();
    }

    static async Task<int> Call(string[] arguments)
    {
        var stream = arguments.Contains("--stream");
        var completions = arguments.Contains("--completions");
        var text = arguments.FirstOrDefault(each => !each.StartsWith("--")) ?? "Say hello in one word.";
        var quoted = text.Replace("\\", "\\\\").Replace("\"", "\\\"");
        var asked = completions
            ? "\"prompt\":\"" + quoted + "\",\"max_tokens\":50"
            : "\"messages\":[{\"role\":\"user\",\"content\":\"" + quoted + "\"}]";
        var body = "{" + asked + ",\"stream\":" + (stream ? "true" : "false") + "}";
        var operation = completions ? "completions" : "chat/completions";
        var place = Setting("GATEWAY_URL") + "/openai/deployments/" + Setting("DEPLOYMENT") + "/" + operation;
        var request = new HttpRequestMessage(HttpMethod.Post, place + "?api-version=" + Setting("API_VERSION", "2024-10-21"));
        request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        var key = Environment.GetEnvironmentVariable("API_KEY");
        if (key != null) request.Headers.Add("api-key", key);
        else request.Headers.Add("Authorization", "Bearer " + Setting("TOKEN"));
        var consumer = Environment.GetEnvironmentVariable("CONSUMER");
        if (consumer != null) request.Headers.Add("x-chargeback-consumer", consumer);

        using (var client = new HttpClient())
        using (var answer = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead))
        using (var reader = new StreamReader(await answer.Content.ReadAsStreamAsync()))
        {
            for (var line = await reader.ReadLineAsync(); line != null; line = await reader.ReadLineAsync()) Console.WriteLine(line);
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
    }
}

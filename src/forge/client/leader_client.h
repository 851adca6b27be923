// An HTTP client for a Forge of one or several servers, of which one decides. Ask for what comes
// after the server's address, /v1/forge/...: it goes to the server that is known to decide, to
// where that one sends it, or to the next of the list when one does not answer. What it cannot
// bring anywhere is an Error(kIo), and may be asked again a little later. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transport/http_client.h"

namespace hearth::forge {

// On answers of a server that does not decide: the address of the one that does, or kNoLeader.
inline constexpr const char* kLeaderHeader = "Forge-Leader";
inline constexpr const char* kNoLeader = "none";

// "http://a:8100,http://b:8100", in parts. Throws Error for a part that is no address.
std::vector<std::string> server_list(const std::string& urls);

// The longest silence of a server after which another one is asked, where there are several, and
// `alone` where there is one: it cannot be left.
int64_t silence_of(const std::string& urls, int64_t alone, int64_t among_several);

std::unique_ptr<transport::HttpClient> make_leader_client(const std::string& urls);
// The same over another client.
std::unique_ptr<transport::HttpClient> make_leader_client(
    const std::string& urls, std::unique_ptr<transport::HttpClient> http);

}  // namespace hearth::forge

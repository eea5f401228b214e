#include "actors/peer_link/queues.hpp"

namespace tallymesh::peer_link {

send_queue::outcome send_queue::push(shared_frame frame) {
  const auto size = frame->size();
  const std::lock_guard lock{mutex_};
  const auto room =
      limits_.queue_bytes + (size <= limits_.small_frame_bytes ? limits_.reserve_bytes : 0);
  if (closed_ || bytes() + size > room) return outcome::dropped;
  waiting_bytes_ += size;
  frames_.push_back(std::move(frame));
  return std::exchange(awake_, true) ? outcome::queued : outcome::queued_first;
}

shared_frame send_queue::take() {
  const std::lock_guard lock{mutex_};
  if (frames_.empty()) {
    awake_ = false;
    return nullptr;
  }
  auto frame = std::move(frames_.front());
  frames_.pop_front();
  waiting_bytes_ -= frame->size();
  return frame;
}

void send_queue::close() {
  const std::lock_guard lock{mutex_};
  closed_ = true;
  frames_.clear();
  waiting_bytes_ = 0;
  writing_bytes_ = 0;
}

shared_frame receive_credit::lend(bytes body) {
  const auto charged = body.size() + frame_overhead_bytes;
  in_flight_bytes_ += charged;
  auto give_back_late = [credit = shared_from_this(), charged](const bytes* x) {
    delete x;
    credit->give_back(charged);
  };
  return shared_frame(new bytes(std::move(body)), std::move(give_back_late));
}

bool receive_credit::must_pause() {
  if (in_flight_bytes_ < limit_bytes_) return false;
  paused_ = true;
  // All may have been given back between the two lines above; then nobody else would say so.
  return !(is_low() && paused_.exchange(false));
}

void receive_credit::give_back(std::size_t size) {
  in_flight_bytes_ -= size;
  if (paused_ && is_low() && paused_.exchange(false)) low_again_();
}

} // namespace tallymesh::peer_link
